// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace wglan {

// What libbpf would print on stderr goes to our log at debug: errors come back as Results anyway.
void log_libbpf_through_ours();

}  // namespace wglan
