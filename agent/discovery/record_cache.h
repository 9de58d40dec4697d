// SPDX-License-Identifier: Apache-2.0
// The file of last good records: what an agent starts with while no other source answers.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "agent/discovery/cache_file.h"
#include "agent/http/http.h"

namespace wglan {

struct CacheOptions {
    Milliseconds delay{2000};      // changes within it are one write
    Milliseconds interval{15000};  // least time between two writes
};

// Written with mode 0600, atomically, on a thread of its own (fsync may take long), and only when
// its content has changed.
class RecordCache {
public:
    // Asked for the state when it is time to write; called on the event loop.
    using Provider = std::function<CacheState()>;

    RecordCache(asio::io_context& io, std::filesystem::path path, std::shared_ptr<const ClusterKeys> keys,
                CacheOptions options = {});
    ~RecordCache();  // waits for a write under way; makes no new one
    RecordCache(const RecordCache&) = delete;
    RecordCache& operator=(const RecordCache&) = delete;

    // Blocks; at start. A missing file is empty content. A file that can't be used (broken, too large,
    // of another token) is empty content with a warning, and renamed to PATH.bad, so that it is not
    // written over. Only a file that can't be read at all is an error.
    Result<CacheContent> load(UnixTime now, bool clock_synchronised);

    void provide(Provider provider);
    void changed();  // something is new: write soon
    // Writes now, blocking, without the event loop; nothing is written after it. For the program's end.
    Result<> flush();

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace wglan
