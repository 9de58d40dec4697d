// SPDX-License-Identifier: Apache-2.0
#include "agent/base/result.h"

#include <string.h>

#include <cerrno>

namespace wglan {
namespace {

ErrorKind kind_of(int code) {
    switch (code) {
        case EPERM:
        case EACCES:
            return ErrorKind::permission;
        case ENOENT:
        case ENODEV:
        case ESRCH:
            return ErrorKind::not_found;
        case EEXIST:
        case EBUSY:
            return ErrorKind::exists;
        case EOPNOTSUPP:
        case ENOSYS:
        case EPROTONOSUPPORT:
            return ErrorKind::unsupported;
        case ETIMEDOUT:
            return ErrorKind::timeout;
        case ENOSPC:
        case ENOMEM:
        case E2BIG:
        case EMFILE:
            return ErrorKind::exhausted;
        case EINVAL:
            return ErrorKind::invalid;
        default:
            return ErrorKind::io;
    }
}

}  // namespace

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::invalid:
            return "invalid";
        case ErrorKind::not_found:
            return "not_found";
        case ErrorKind::exists:
            return "exists";
        case ErrorKind::permission:
            return "permission";
        case ErrorKind::unsupported:
            return "unsupported";
        case ErrorKind::io:
            return "io";
        case ErrorKind::timeout:
            return "timeout";
        case ErrorKind::conflict:
            return "conflict";
        case ErrorKind::protocol:
            return "protocol";
        case ErrorKind::exhausted:
            return "exhausted";
        case ErrorKind::internal:
            return "internal";
    }
    return "internal";
}

std::string Error::message() const {
    if (code_ == 0) return context_;
    // Both are independent of the locale's state and safe from any thread (glibc 2.32).
    const char* text = strerrordesc_np(code_);
    const char* name = strerrorname_np(code_);
    if (text == nullptr || name == nullptr) return context_ + ": errno " + std::to_string(code_);
    return context_ + ": " + text + " (" + name + ")";
}

Error Error::wrap(std::string_view phrase) const& { return Error(*this).wrap(phrase); }

Error Error::wrap(std::string_view phrase) && {
    context_.insert(0, ": ");
    context_.insert(0, phrase);
    return std::move(*this);
}

Failure fail(ErrorKind kind, std::string context) { return Failure(Error(kind, std::move(context))); }

Failure fail_errno(std::string context) {
    const int code = errno;
    return fail_errno(std::move(context), code);
}

Failure fail_errno(std::string context, int code) {
    return Failure(Error(kind_of(code), std::move(context), code));
}

}  // namespace wglan
