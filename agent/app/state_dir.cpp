// SPDX-License-Identifier: Apache-2.0
#include "agent/app/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <thread>

#include <spdlog/spdlog.h>

#include "agent/base/file.h"

namespace wglan {
namespace {

UnixTime modified(const std::filesystem::path& file) {
    struct stat info{};
    return ::stat(file.c_str(), &info) == 0 ? info.st_mtime : 0;
}

}  // namespace

StateDir::StateDir(std::string private_key_file)
    : key_file_(std::move(private_key_file)), folder_(key_file_.parent_path()) {}

// Whatever stands at the key's place is a key that can't be used, unless nothing stands there at all.
Result<Secret> StateDir::load(const std::filesystem::path& file, const char* what) const {
    const std::string name = "the " + std::string(what) + " " + file.string();
    const std::string mend =
        " (it is never made anew by itself: mend it or restore it from a backup, or move it away for a new "
        "one, with "
        "which this node is a new node)";
    struct stat entry{};
    if (::lstat(file.c_str(), &entry) != 0 && errno == ENOENT)
        return fail(ErrorKind::not_found, name + " does not exist");
    struct stat target{};
    if (::stat(file.c_str(), &target) != 0) return fail_errno(name + " can't be read" + mend);
    if (!S_ISREG(target.st_mode)) return fail(ErrorKind::io, name + " is not a regular file" + mend);
    auto text = read_secret_file(file);
    if (!text) {
        if (text.error().kind() == ErrorKind::not_found)  // gone since: a race, not a missing key
            return fail(ErrorKind::io, name + " was there and is gone" + mend);
        return Failure(text.error().wrap(name + " can't be read" + mend));
    }
    auto key = parse_private_key(text->text());
    if (!key) return Failure(key.error().wrap(name + " is damaged" + mend));
    if ((target.st_mode & 077) != 0)
        spdlog::warn("{} can be read by others (mode {:o}); chmod 600 it", file.string(),
                     target.st_mode & 0777);
    return key;
}

Result<Secret> StateDir::load_or_make(const std::filesystem::path& file, const char* what) {
    auto key = load(file, what);
    if (key || key.error().kind() != ErrorKind::not_found) return key;
    if (auto made = make_directories(folder_, 0700); !made)
        return fail_with(made, "make the state directory " + folder_.string());
    Secret fresh = make_private_key();
    const Secret encoded = private_key_text(fresh);
    std::string content(encoded.text());
    content += '\n';
    auto written = create_file_atomic(file, content, 0600);
    wipe(content);
    if (!written && written.error().kind() == ErrorKind::exists) return load(file, what);
    if (!written) return fail_with(written, "store a new " + std::string(what) + " in " + file.string());
    spdlog::info("made a new {} in {}", what, file.string());
    return fresh;
}

namespace {

Result<Identity> assemble(Secret private_key, Secret seed) {
    Identity identity;
    auto public_key = public_key_of(private_key.bytes());
    if (!public_key) return fail_with(public_key, "private key");
    auto verifier = identity_of(seed.bytes());
    if (!verifier) return fail_with(verifier, "identity key");
    identity.private_key = std::move(private_key);
    identity.seed = std::move(seed);
    identity.public_key = *public_key;
    identity.identity = *verifier;
    return identity;
}

}  // namespace

Result<Identity> StateDir::identity(const Secret* given) {
    Result<Secret> private_key =
        given != nullptr ? Result<Secret>(given->clone()) : load_or_make(key_file_, "private key");
    if (!private_key) return Failure(private_key.error());
    const auto identity_file = folder_ / "identity.key";
    auto seed = load_or_make(identity_file, "identity key");
    if (!seed) return Failure(seed.error());
    auto identity = assemble(std::move(*private_key), std::move(*seed));
    if (!identity) return identity;
    identity->identity_file = identity_file.string();
    if (given == nullptr) {
        identity->key_file = key_file_.string();
        identity->key_created = modified(key_file_);
    }
    return identity;
}

Result<Identity> StateDir::existing_identity(const Secret* given) const {
    Result<Secret> private_key =
        given != nullptr ? Result<Secret>(given->clone()) : load(key_file_, "private key");
    if (!private_key) return Failure(private_key.error());
    auto seed = load(folder_ / "identity.key", "identity key");
    if (!seed) return Failure(seed.error());
    return assemble(std::move(*private_key), std::move(*seed));
}

Result<> StateDir::lock(std::chrono::milliseconds patience) {
    const auto file = folder_ / "lock";
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.valid()) return fail_errno("open " + file.string());
    const auto until = std::chrono::steady_clock::now() + patience;
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock " + file.string());
        if (std::chrono::steady_clock::now() >= until)
            return fail(ErrorKind::exists,
                        "another agent uses the state directory " + folder_.string() +
                            "; each needs an interface.privateKeyFile in a folder of its own");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    lock_ = std::move(fd);
    return {};
}

std::optional<IpAddress> StateDir::address() const {
    auto text = read_file(folder_ / "address", 256);
    if (!text) return std::nullopt;
    while (!text->empty() && text->back() == '\n') text->pop_back();
    auto address = IpAddress::parse(*text);
    if (!address || !address->is_v6()) {
        spdlog::warn("{}: not an IPv6 address; deriving it anew", (folder_ / "address").string());
        return std::nullopt;
    }
    return *address;
}

Result<> StateDir::store_address(const IpAddress& address) {
    return write_file_atomic(folder_ / "address", address.to_string() + "\n", 0644);
}

std::uint64_t StateDir::sequence() const {
    const auto file = folder_ / "sequence";
    auto text = read_file(file, 64);
    if (!text) {
        if (text.error().kind() != ErrorKind::not_found)
            spdlog::warn("{}; the sources tell the last sequence", text.error().message());
        return 0;
    }
    while (!text->empty() && text->back() == '\n') text->pop_back();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error == std::errc{} && end == text->data() + text->size()) return value;
    spdlog::warn("{} is damaged; the sources tell the last sequence", file.string());
    return 0;
}

Result<> StateDir::store_sequence(std::uint64_t sequence) {
    return write_file_atomic(folder_ / "sequence", std::to_string(sequence) + "\n", 0600);
}

namespace {

std::string interface_note(const std::string& name) {
    return name + " " + read_file("/proc/sys/kernel/random/boot_id", 64).value_or("\n");
}

}  // namespace

Result<> StateDir::note_interface(const std::string& name) {
    return write_file_atomic(folder_ / "interface", interface_note(name), 0600);
}

bool StateDir::interface_noted(const std::string& name) const {
    const auto note = read_file(folder_ / "interface", 512);
    return note && *note == interface_note(name);
}

}  // namespace wglan
