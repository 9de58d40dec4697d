// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error. Every fallible function of the code base returns one;
// exceptions of libraries stop at the adapter that calls the library.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace wglan {

enum class ErrorKind {
    invalid,      // input that breaks a rule: configuration, record, packet, argument
    not_found,    // the named object does not exist
    exists,       // the named object exists already, or belongs to someone else
    permission,   // EPERM, EACCES, a refused signature
    unsupported,  // the kernel, library or this version lacks it
    io,           // any other failed system call or connection
    timeout,      // a deadline passed
    conflict,     // somebody else changed it in between (HTTP 409, NLM_F_DUMP_INTR)
    protocol,     // the other side sent bytes that make no sense
    exhausted,    // a limit is reached: map full, too many nodes, out of memory
    internal,     // a bug of ours
};

// Lower-case name, as it appears in logs ("invalid", "not_found" ...).
std::string_view to_string(ErrorKind kind);

class [[nodiscard]] Error {
public:
    Error(ErrorKind kind, std::string context, int code = 0)
        : kind_(kind), code_(code), context_(std::move(context)) {}

    ErrorKind kind() const { return kind_; }
    int code() const { return code_; }  // errno, or 0

    // "add route 10.2.0.0/16 dev wglan0: File exists (EEXIST)".
    std::string message() const;

    // Puts "phrase: " in front; each layer adds one phrase.
    Error wrap(std::string_view phrase) const&;
    Error wrap(std::string_view phrase) &&;

private:
    ErrorKind kind_;
    int code_;
    std::string context_;
};

template <class T = void>
using Result = tl::expected<T, Error>;

using Failure = tl::unexpected<Error>;

[[nodiscard]] Failure fail(ErrorKind kind, std::string context);
// Takes errno (or `code`) and picks the kind from it: EPERM/EACCES permission, ENOENT/ENODEV/ESRCH
// not_found, EEXIST/EBUSY exists, EOPNOTSUPP/ENOSYS/EPROTONOSUPPORT unsupported, ETIMEDOUT timeout,
// ENOSPC/ENOMEM/E2BIG/EMFILE exhausted, EINVAL invalid, else io.
[[nodiscard]] Failure fail_errno(std::string context);
[[nodiscard]] Failure fail_errno(std::string context, int code);
// Hands an error on with one more phrase in front.
template <class T>
[[nodiscard]] Failure fail_with(const Result<T>& result, std::string_view phrase) {
    return Failure(result.error().wrap(phrase));
}

}  // namespace wglan
