// SPDX-License-Identifier: Apache-2.0
#include "agent/discovery/record_cache.h"

#include <algorithm>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/base/file.h"
#include "agent/base/log.h"

namespace wglan {

struct RecordCache::Impl : std::enable_shared_from_this<Impl> {
    Impl(asio::io_context& loop, std::filesystem::path file, std::shared_ptr<const ClusterKeys> cluster_keys,
         CacheOptions how)
        : io(loop), path(std::move(file)), keys(std::move(cluster_keys)), options(how), timer(loop) {}

    void schedule();
    void write();
    void written(const std::array<std::uint8_t, 32>& digest, const Result<>& result);
    Result<std::string> content() const;

    asio::io_context& io;
    std::filesystem::path path;
    std::shared_ptr<const ClusterKeys> keys;
    CacheOptions options;
    asio::steady_timer timer;
    Provider provider;
    SteadyTime last_write{};
    std::array<std::uint8_t, 32> on_disk{};  // SHA-256 of what was written last
    bool dirty = false, waiting = false, writing = false, closed = false;
    std::string last_error;
    asio::thread_pool pool{1};
};

Result<std::string> RecordCache::Impl::content() const {
    return encode_cache(*keys, provider ? provider() : CacheState{});
}

void RecordCache::Impl::schedule() {
    if (closed || waiting || writing || !dirty) return;
    waiting = true;
    const auto now = system_clock().now();
    timer.expires_after(std::max<SteadyTime::duration>(options.delay, last_write + options.interval - now));
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        auto self = weak.lock();
        if (!self) return;
        self->waiting = false;
        if (!error) self->write();
    });
}

void RecordCache::Impl::write() {
    if (closed) return;
    dirty = false;
    last_write = system_clock().now();
    writing = true;
    // Of thousands of records the text alone takes long; the loop has better things to do.
    auto state = std::make_shared<const CacheState>(provider ? provider() : CacheState{});
    asio::post(pool,
               [weak = weak_from_this(), file = path, known = keys, state, before = on_disk, &loop = io] {
                   Result<> result;
                   auto digest = before;
                   if (const auto text = encode_cache(*known, *state); !text)
                       result = Failure(text.error());
                   else if (digest = sha256(as_bytes(*text)); digest != before)
                       result = write_file_atomic(file, *text, 0600);
                   asio::post(loop, [weak, digest, result = std::move(result)] {
                       if (auto self = weak.lock()) self->written(digest, result);
                   });
               });
}

void RecordCache::Impl::written(const std::array<std::uint8_t, 32>& digest, const Result<>& result) {
    writing = false;
    if (result) {
        on_disk = digest;
        last_error.clear();
    } else {
        dirty = true;
        if (auto text = result.error().message(); text != last_error) {
            spdlog::warn("the cache of records can't be written: {}; tried again later", text);
            last_error = std::move(text);
        }
    }
    schedule();
}

RecordCache::RecordCache(asio::io_context& io, std::filesystem::path path,
                         std::shared_ptr<const ClusterKeys> keys, CacheOptions options)
    : impl_(std::make_shared<Impl>(io, std::move(path), std::move(keys), options)) {}

RecordCache::~RecordCache() {
    impl_->closed = true;
    impl_->timer.cancel();
    impl_->pool.join();
}

Result<CacheContent> RecordCache::load(UnixTime now, bool clock_synchronised) {
    const auto& path = impl_->path;
    auto text = read_file(path, kMaxCacheFile);
    if (!text && text.error().kind() == ErrorKind::not_found) return CacheContent{};
    if (!text && text.error().kind() != ErrorKind::exhausted) return fail_with(text, "cache of records");
    auto content = text ? decode_cache(*impl_->keys, *text, now, clock_synchronised)
                        : Result<CacheContent>(Failure(text.error()));
    if (content) {
        impl_->on_disk = sha256(as_bytes(*text));
        return content;
    }
    auto aside = path;
    aside += ".bad";
    std::error_code error;
    std::filesystem::rename(path, aside, error);
    CacheContent empty;
    empty.warnings.push_back("the cache of records " + path.string() + " is not used: " +
                             content.error().message() + (error ? "" : "; kept as " + aside.string()));
    return empty;
}

void RecordCache::provide(Provider provider) { impl_->provider = std::move(provider); }

void RecordCache::changed() {
    impl_->dirty = true;
    impl_->schedule();
}

Result<> RecordCache::flush() {
    // A write under way must not come after this one.
    impl_->closed = true;
    impl_->timer.cancel();
    impl_->pool.join();
    auto text = impl_->content();
    if (!text) return Failure(text.error());
    if (sha256(as_bytes(*text)) == impl_->on_disk) return {};
    if (auto done = write_file_atomic(impl_->path, *text, 0600); !done)
        return fail_with(done, "cache of records");
    impl_->on_disk = sha256(as_bytes(*text));
    return {};
}

}  // namespace wglan
