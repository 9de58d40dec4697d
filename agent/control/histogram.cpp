// SPDX-License-Identifier: Apache-2.0
#include "agent/control/histogram.h"

#include <algorithm>

namespace wglan {

void DurationHistogram::observe(double seconds) {
    auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
    ++buckets_[static_cast<std::size_t>(bound - kBounds.begin())];
    ++count_;
    sum_ += seconds;
}

}  // namespace wglan
