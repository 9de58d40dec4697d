// SPDX-License-Identifier: Apache-2.0
// What the agent keeps about itself over restarts: keys, overlay address, record sequence.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "agent/base/clock.h"
#include "agent/base/ip.h"
#include "agent/base/keys.h"
#include "agent/base/result.h"
#include "agent/base/unique_fd.h"

namespace wglan {

struct Identity {
    Secret private_key;  // X25519, 32 bytes
    PublicKey public_key;
    Secret seed;  // Ed25519, 32 bytes
    IdentityKey identity;
    UnixTime key_created = 0;
    std::string key_file;  // "" = given by the configuration
    std::string identity_file;
};

// The folder is that of interface.privateKeyFile; made with mode 0700 if missing.
class StateDir {
public:
    explicit StateDir(std::string private_key_file);

    // Loads the keys, or makes them where no file exists. A file that is there but can't be read or
    // parsed is an error that says what to do, and is never replaced. `given` = the configuration's
    // own private key (may be null).
    Result<Identity> identity(const Secret* given);
    // The same without making anything; not_found where there is none yet.
    Result<Identity> existing_identity(const Secret* given) const;

    std::optional<IpAddress> address() const;  // stored overlay address
    Result<> store_address(const IpAddress& address);
    std::uint64_t sequence() const;  // of the last record issued; 0 = none
    Result<> store_sequence(std::uint64_t sequence);
    // One agent a state directory: `exists` if another process holds it for longer than `patience`. Kept
    // until this object goes, or the process.
    Result<> lock(std::chrono::milliseconds patience);
    // That the interface is about to be made, in this boot: its maker may die before it can sign it.
    Result<> note_interface(const std::string& name);
    bool interface_noted(const std::string& name) const;

private:
    Result<Secret> load(const std::filesystem::path& file, const char* what) const;
    Result<Secret> load_or_make(const std::filesystem::path& file, const char* what);

    std::filesystem::path key_file_;
    std::filesystem::path folder_;
    UniqueFd lock_;
};

}  // namespace wglan
