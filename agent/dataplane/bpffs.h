// SPDX-License-Identifier: Apache-2.0
// The pin directory: <pinPath>/maps/NAME and <pinPath>/links/NAME on a BPF file system.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace wglan {

// bpffs reserves names with dots to the kernel (maps.debug, progs.debug in its root).
inline constexpr char kMapsDirectory[] = "maps";
inline constexpr char kNextMapsDirectory[] = "maps_next";  // until new maps take the old ones' place
inline constexpr char kLinksDirectory[] = "links";

// Makes pin_path and its sub-directories (0700). Where they aren't on a bpffs, mounts one: on
// /sys/fs/bpf for paths below that, else on pin_path itself.
Result<> prepare_pin_path(const std::string& pin_path);
bool on_bpffs(const std::string& path);

Result<UniqueFd> open_pin(const std::string& path);  // not_found when there is none
Result<> pin(int fd, const std::string& path);
Result<> unpin(const std::string& path);  // fine when there is none
std::vector<std::string> list_pins(
    const std::string& directory);  // names, sorted; none if no directory; without the kernel's own
// Of a pin that is named for a device: `begins` and the ifindex.
std::optional<int> ifindex_of_pin(const std::string& name, std::string_view begins);

// Removes one of our directories with all pins in it; fine when there is none.
Result<> remove_pins(const std::string& directory);
// Puts maps_next in place of maps in one step, then drops what was there before.
Result<> exchange_maps(const std::string& pin_path);
// Removes the three directories and pin_path, and unmounts what prepare_pin_path mounted there.
// Foreign pins stay, and pin_path with them.
Result<> remove_pin_path(const std::string& pin_path);

}  // namespace wglan
