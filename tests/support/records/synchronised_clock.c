// SPDX-License-Identifier: Apache-2.0
// Preloaded, it has a program believe that this host's clock is synchronised, so that it judges the age
// of records: build machines and VMs often have no NTP.
#include <sys/timex.h>

int adjtimex(struct timex* query) {
    *query = (struct timex){0};
    return TIME_OK;
}
