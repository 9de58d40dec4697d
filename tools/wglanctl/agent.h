// SPDX-License-Identifier: Apache-2.0
// The agent behind its control socket.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/http/client.h"
#include "tools/wglanctl/options.h"
#include "tools/wglanctl/render/json_read.h"

namespace wglan::ctl {

// What went wrong, as the user is told of it, and how the program ends for it.
struct Complaint {
    Exit exit = kFailed;
    std::string text;
};

using Query = std::vector<std::pair<std::string, std::string>>;

class Agent {
public:
    Agent(asio::io_context& io, std::string socket);

    // GET of a path with query parameters; parameters with an empty value are left out.
    Task<tl::expected<Json, Complaint>> get(std::string path, Query query = {});

    // The same for an answer that goes on: JSON objects, one a line.
    Task<tl::expected<std::unique_ptr<HttpStream>, Complaint>> stream(std::string path, Query query = {});

private:
    Complaint refusal(unsigned status, const std::string& path, const Json& body) const;
    Complaint unreachable(const Error& error) const;

    std::string socket_;
    std::unique_ptr<HttpClient> client_;
};

std::string percent_encode(std::string_view text);

}  // namespace wglan::ctl
