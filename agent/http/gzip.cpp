// SPDX-License-Identifier: Apache-2.0
#include "agent/http/gzip.h"

#include <zlib.h>

#include <algorithm>

namespace wglan {
namespace {

constexpr int kGzip = 16 + MAX_WBITS;  // zlib.h: gzip and nothing else
constexpr std::size_t kChunk = 256U << 10;

class Inflate {
public:
    Inflate() : ready_(inflateInit2(&stream_, kGzip) == Z_OK) {}
    Inflate(const Inflate&) = delete;
    Inflate& operator=(const Inflate&) = delete;
    ~Inflate() {
        if (ready_) inflateEnd(&stream_);
    }
    bool ready() const { return ready_; }
    z_stream& operator*() { return stream_; }

private:
    z_stream stream_{};
    bool ready_ = false;
};

}  // namespace

Result<std::string> gunzip(std::string_view packed, std::size_t most) {
    Inflate inflate_state;
    if (!inflate_state.ready()) return fail(ErrorKind::exhausted, "gzip: no memory");
    z_stream& stream = *inflate_state;
    if (packed.size() > std::size_t{1} << 30) return fail(ErrorKind::exhausted, "gzip: too long");
    // zlib's interface is older than const; it doesn't write there.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    std::string plain;
    for (;;) {
        const std::size_t done = plain.size();
        plain.resize(std::min(done + kChunk, most + 1));
        stream.next_out = reinterpret_cast<Bytef*>(plain.data() + done);
        stream.avail_out = static_cast<uInt>(plain.size() - done);
        const int result = inflate(&stream, Z_NO_FLUSH);
        plain.resize(plain.size() - stream.avail_out);
        if (plain.size() > most) return fail(ErrorKind::exhausted, "gzip: more than would be read comes out");
        if (result == Z_STREAM_END) {
            if (stream.avail_in == 0) return plain;
            if (inflateReset(&stream) != Z_OK) return fail(ErrorKind::protocol, "gzip: damaged");
            continue;
        }
        if (result == Z_BUF_ERROR || (result == Z_OK && stream.avail_in == 0 && stream.avail_out != 0))
            return fail(ErrorKind::protocol, "gzip: cut short");
        if (result != Z_OK) return fail(ErrorKind::protocol, "gzip: damaged");
    }
}

}  // namespace wglan
