// SPDX-License-Identifier: Apache-2.0
// Precompiled once for all modules: what makes translation units with Boost slow.
#pragma once
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
