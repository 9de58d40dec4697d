// SPDX-License-Identifier: Apache-2.0
// How a withdrawal insists: what we wrote on our Node stays there for ever unless we take it away.
#pragma once

#include <functional>

#include "agent/discovery/kubernetes/api.h"
#include "agent/discovery/source_context.h"

namespace wglan {

// Pure: when to ask again, and when it is enough.
class Insistence {
public:
    Insistence(SteadyTime until, Backoff::Random random);

    // The pause before the next try, half a second at least and as long as the server asks (`asked`);
    // nullopt: no try is left, or none before the end. `status`: of the answer, 0 = there was none. What is
    // refused is tried a few times too: rights and tokens may be changing just now.
    std::optional<Milliseconds> pause(unsigned status, std::optional<Milliseconds> asked, SteadyTime now);

private:
    SteadyTime until_;
    Backoff backoff_;
    unsigned refusals_ = 0;
};

using AskApi = std::function<Task<Result<HttpResponse>>()>;

// Asks until there is an answer that will do: 2xx, or that our Node is gone (is_another). Over by `until`,
// also where the server says nothing. `doing`: "remove our annotations from Node node1".
Task<Result<HttpResponse>> insist(const SourceContext& context, SteadyTime until, std::string doing,
                                  AskApi ask);

}  // namespace wglan
