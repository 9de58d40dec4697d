// SPDX-License-Identifier: Apache-2.0
// Keeps our own record stored at one service.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include "agent/discovery/service_source.h"
#include "agent/discovery/service_view.h"
#include "agent/http/client.h"

namespace wglan {

class ServicePublisher {
public:
    ServicePublisher(SourceContext context, const ServiceOptions& options, std::shared_ptr<HttpClient> client,
                     std::string source);

    // Loops until stop(); `emit` gets own_sequence updates. The caller keeps this object alive.
    Task<void> run(std::function<void(SourceUpdate)> emit);
    void stop();

    void publish(OwnRecord own);
    // What failed may succeed now.
    void network_changed();
    // What the service holds of us, as a list or watch said it; own_sequence to tell, if any.
    std::optional<SourceUpdate> saw(const OwnSight& own);
    // Our record goes; nothing is published any more until publish().
    Task<Result<>> withdraw(std::uint64_t sequence, Milliseconds limit);

    const std::string& error() const { return error_; }  // "" = all is well

private:
    // A service may make us jump over this many sequences at once, so that a lying one can't use
    // them all up.
    static constexpr std::uint64_t kMaxJump = 1ULL << 32;

    static constexpr Milliseconds kMinPutInterval{500};

    // So many newer records of ours in a row aren't a lost memory any more.
    static constexpr unsigned kCopied = 3;

    Task<void> put_once(const std::function<void(SourceUpdate)>& emit);
    Task<void> wait();
    void wake();
    void put_soon();
    void set_error(std::string text);
    Result<> judge_answer(const HttpResponse& response, std::uint64_t sequence,
                          std::optional<SourceUpdate>& news);
    // `signed_by_us`: the record itself was seen; else it is the service's word alone.
    std::optional<SourceUpdate> tell(std::uint64_t sequence, bool signed_by_us);
    bool contest_over() const;
    Task<Result<HttpResponse>> send(const char* method, const Envelope& envelope);
    Task<Result<>> withdraw_loop(Envelope tombstone);

    SourceContext context_;
    std::shared_ptr<HttpClient> client_;
    std::string source_;
    Milliseconds refresh_, slow_;
    Backoff backoff_;
    Backoff contest_backoff_;
    asio::steady_timer timer_;
    SteadyTime next_{}, last_put_{};
    // How often in a row there was a newer record of ours, and how often it was a true one.
    unsigned contests_ = 0, copies_ = 0;
    SteadyTime contested_{};
    std::optional<Envelope> envelope_;  // signed and sealed once, sent as it is at each refresh
    bool wake_ = false;
    bool stopped_ = false;
    bool superseded_ = false;  // the service holds a newer one: only a new publish() helps
    std::uint64_t told_ = 0;
    std::string error_;
};

// "403 Forbidden-like" answers as an error with the service's own words, made safe to print.
Error http_error(const HttpResponse& response);

}  // namespace wglan
