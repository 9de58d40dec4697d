// SPDX-License-Identifier: Apache-2.0
#include "agent/base/log.h"

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "agent/base/text.h"

namespace wglan {
namespace {

std::string_view view(spdlog::string_view_t text) { return {text.data(), text.size()}; }

std::string time_text(spdlog::log_clock::time_point when) {
    const auto since = when.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since - seconds).count();
    const time_t whole = seconds.count();
    tm parts{};
    gmtime_r(&whole, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, ms);
}

std::string_view level_name(spdlog::level::level_enum level) {
    return level == spdlog::level::warn ? std::string_view("warn")
                                        : view(spdlog::level::to_string_view(level));
}

void append(spdlog::memory_buf_t& out, std::string_view text) {
    out.append(text.data(), text.data() + text.size());
}

// One line a message, whatever bytes the message carries: text from elsewhere can't forge a line.
class LineFormatter final : public spdlog::formatter {
public:
    explicit LineFormatter(LogFormat format) : format_(format) {}

    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        if (format_ == LogFormat::json)
            as_json(message, out);
        else
            as_text(message, out);
    }
    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<LineFormatter>(format_);
    }

private:
    static void as_json(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) {
        append(out, R"({"time":")");
        append(out, time_text(message.time));
        append(out, R"(","level":")");
        append(out, level_name(message.level));
        append(out, R"(","message":)");
        append(out, json_string(view(message.payload)));
        append(out, "}\n");
    }
    static void as_text(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) {
        append(out, time_text(message.time));
        append(out, " ");
        message.color_range_start = out.size();
        append(out, level_name(message.level));
        message.color_range_end = out.size();
        append(out, " ");
        append(out, escape_controls(view(message.payload)));
        append(out, "\n");
    }

    LogFormat format_;
};

}  // namespace

Result<LogFormat> parse_log_format(std::string_view text) {
    if (text == "text") return LogFormat::text;
    if (text == "json") return LogFormat::json;
    return fail(ErrorKind::invalid, "log format " + quote(text) + "; accepted: text, json");
}

Result<> setup_logging(LogFormat format, std::string_view level) {
    const auto parsed = spdlog::level::from_str(std::string(level));
    const bool known =
        level == "trace" || level == "debug" || level == "info" || level == "warn" || level == "error";
    if (!known)
        return fail(ErrorKind::invalid,
                    "log level " + quote(level) + "; accepted: trace, debug, info, warn, error");

    spdlog::sink_ptr sink;
    if (format == LogFormat::text && ::isatty(STDERR_FILENO) == 1)
        sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    else
        sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto logger = std::make_shared<spdlog::logger>("wglan", std::move(sink));
    logger->set_formatter(std::make_unique<LineFormatter>(format));
    logger->set_level(parsed);
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
    return {};
}

}  // namespace wglan
