// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/bpffs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include <bpf/bpf.h>

#include "agent/base/file.h"

namespace wglan {

namespace {

namespace fs = std::filesystem;

constexpr mode_t kMode = 0700;
constexpr char kSystemMount[] = "/sys/fs/bpf";

bool is_below(const fs::path& path, const fs::path& base) {
    const auto [end, rest] = std::mismatch(base.begin(), base.end(), path.begin(), path.end());
    (void)rest;
    return end == base.end();
}

Result<> mount_bpffs(const std::string& where) {
    if (::mount("bpf", where.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") == 0) return {};
    const int error = errno;
    return fail_errno("mount a BPF file system on " + where + " (do it beforehand: mount -t bpf bpf " +
                          where + ", or set bpf.pinPath to a path on one)",
                      error);
}

bool is_mount_point(const fs::path& path) {
    struct stat self{}, parent{};
    return ::stat(path.c_str(), &self) == 0 && ::stat(path.parent_path().c_str(), &parent) == 0 &&
           self.st_dev != parent.st_dev;
}

}  // namespace

bool on_bpffs(const std::string& path) {
    struct statfs info{};
    return ::statfs(path.c_str(), &info) == 0 && static_cast<unsigned long>(info.f_type) == BPF_FS_MAGIC;
}

Result<> prepare_pin_path(const std::string& pin_path) {
    const fs::path path = fs::path(pin_path).lexically_normal();
    if (!path.is_absolute()) return fail(ErrorKind::invalid, "bpf.pinPath " + pin_path + " isn't absolute");
    if (is_below(path, kSystemMount) && !on_bpffs(kSystemMount))
        if (auto mounted = mount_bpffs(kSystemMount); !mounted) return mounted;
    if (auto made = make_directories(path, kMode); !made) return fail_with(made, "make the pin directory");
    if (!on_bpffs(path))
        if (auto mounted = mount_bpffs(path); !mounted) return mounted;
    for (const char* name : {kMapsDirectory, kLinksDirectory})
        if (auto made = make_directories(path / name, kMode); !made)
            return fail_with(made, "make the pin directory");
    return {};
}

Result<UniqueFd> open_pin(const std::string& path) {
    UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!fd.valid()) return fail_errno("open pin " + path);
    return fd;
}

Result<> pin(int fd, const std::string& path) {
    if (bpf_obj_pin(fd, path.c_str()) == 0) return {};
    return fail_errno("pin " + path);
}

Result<> unpin(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
    return fail_errno("remove pin " + path);
}

std::vector<std::string> list_pins(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
        if (std::string name = it->path().filename(); name.find('.') == std::string::npos)
            names.push_back(std::move(name));
    std::sort(names.begin(), names.end());
    return names;
}

std::optional<int> ifindex_of_pin(const std::string& name, std::string_view begins) {
    if (!name.starts_with(begins)) return std::nullopt;
    int ifindex = 0;
    const char* const end = name.data() + name.size();
    const auto [last, error] = std::from_chars(name.data() + begins.size(), end, ifindex);
    if (error != std::errc() || last != end) return std::nullopt;
    return ifindex;
}

Result<> remove_pins(const std::string& directory) {
    for (const std::string& name : list_pins(directory))
        if (auto removed = unpin(directory + "/" + name); !removed) return removed;
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
    return fail_errno("remove " + directory);
}

Result<> exchange_maps(const std::string& pin_path) {
    const std::string now = pin_path + "/" + kMapsDirectory, next = pin_path + "/" + kNextMapsDirectory;
    if (::renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, now.c_str(), RENAME_EXCHANGE) != 0)
        return fail_errno("put " + next + " in place of " + now);
    return remove_pins(next);
}

Result<> remove_pin_path(const std::string& pin_path) {
    const fs::path path = fs::path(pin_path).lexically_normal();
    if (!on_bpffs(path)) {
        // What a mount that is gone left behind.
        if (fs::is_directory(path) && fs::is_empty(path)) ::rmdir(path.c_str());
        return {};
    }
    for (const char* name : {kLinksDirectory, kNextMapsDirectory, kMapsDirectory})
        if (auto removed = remove_pins(path / name); !removed) return removed;
    if (!list_pins(path).empty() || path == kSystemMount) return {};
    if (is_mount_point(path) && ::umount2(path.c_str(), 0) != 0)
        return fail_errno("unmount " + path.string());
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path.string());
    return {};
}

}  // namespace wglan
