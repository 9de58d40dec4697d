// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/snapshot_source.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace wglan {
namespace {

class SnapshotSource final : public Source {
public:
    SnapshotSource(asio::io_context& io, SourceKind kind, std::vector<SourcedRecord> records,
                   std::vector<Tombstone> tombstones)
        : io_(io), alive_(std::make_shared<bool>(true)) {
        status_.name = to_string(kind);
        status_.records = records.size();
        for (auto& record : records) {
            record.kind = kind;
            record.source = status_.name;
        }
        update_.kind = SourceUpdate::Kind::snapshot;
        update_.source = status_.name;
        update_.records = std::move(records);
        update_.tombstones = std::move(tombstones);
    }
    ~SnapshotSource() override { SnapshotSource::stop(); }

    void start(Callback on_update) override {
        asio::post(io_, [this, alive = alive_, callback = std::move(on_update)] {
            if (!*alive) return;
            status_.state = SourceState::synced;
            status_.last_sync = system_clock().unix_now();
            callback(std::exchange(update_, {}));
        });
    }
    void stop() override { *alive_ = false; }
    SourceStatus status() const override { return status_; }

private:
    asio::io_context& io_;
    std::shared_ptr<bool> alive_;
    SourceStatus status_;
    SourceUpdate update_;
};

}  // namespace

std::unique_ptr<Source> make_static_source(asio::io_context& io, std::vector<SourcedRecord> peers) {
    return std::make_unique<SnapshotSource>(io, SourceKind::static_entry, std::move(peers),
                                            std::vector<Tombstone>{});
}

std::unique_ptr<Source> make_cache_source(asio::io_context& io, std::vector<SourcedRecord> records,
                                          std::vector<Tombstone> tombstones) {
    return std::make_unique<SnapshotSource>(io, SourceKind::cache, std::move(records), std::move(tombstones));
}

}  // namespace wglan
