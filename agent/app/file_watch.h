// SPDX-License-Identifier: Apache-2.0
// Tells when watched files change, by inotify on their folders (editors and Kubernetes replace files).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/base/result.h"

namespace wglan {

class FileWatch {
public:
    // on_change comes on the loop, once for a burst, and only if the content of a file differs.
    FileWatch(boost::asio::io_context& io, std::function<void()> on_change);
    Result<> watch(const std::vector<std::string>& files);
    void stop();

private:
    void read();
    void settle();
    std::string digest() const;

    boost::asio::posix::stream_descriptor stream_;
    boost::asio::steady_timer settle_;
    std::function<void()> on_change_;
    std::vector<std::string> files_;
    std::string digest_;
    std::array<char, 4096> buffer_{};
};

}  // namespace wglan
