// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/model/record.h"

namespace wglan {

// Checks every limit of agent/model/record.h and brings the record into its canonical form (see
// encode_record). invalid names the field and what is accepted. Pure.
Result<Record> normalise_record(Record record);

}  // namespace wglan
