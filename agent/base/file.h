// SPDX-License-Identifier: Apache-2.0
// Whole-file reads and atomic writes.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "agent/base/keys.h"
#include "agent/base/result.h"

namespace wglan {

// Reads at most `limit` bytes; a longer file is `exhausted`. Kinds as fail_errno.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = 16U << 20);
// The same into locked memory; trailing white space removed.
Result<Secret> read_secret_file(const std::filesystem::path& path, std::size_t limit = 64U << 10);

// Temporary file in the same directory, write, fsync, rename, fsync of the directory. On error
// the old file is as it was and the temporary one is gone.
Result<> write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode);
// The same, but `exists` when there is a file already (link(2), so that no race loses one).
Result<> create_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode);
// mkdir -p with this mode for what it makes.
Result<> make_directories(const std::filesystem::path& path, mode_t mode);

}  // namespace wglan
