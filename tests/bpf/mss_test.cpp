// SPDX-License-Identifier: Apache-2.0
// The MSS clamp. Expected packets are built anew with the lower value, so that the checksum is
// checked against one computed from scratch.
#include "tests/bpf/steer_fixture.h"

namespace wglan::test {

namespace {

constexpr std::uint8_t kSyn = TcpFlags::syn, kSynAck = TcpFlags::syn | TcpFlags::ack;

Bytes segment(bool v4, std::uint8_t flags, const Bytes& options) {
    Ip packet{.source = v4 ? "192.0.2.1" : "2001:db8:1::1", .destination = v4 ? "10.1.2.3" : "fd01::5"};
    packet.protocol = 6;
    packet.transport = tcp(flags, options);
    return frame(packet);
}

const Bytes kNop = {1}, kEnd = {0}, kSackOk = {4, 2}, kScale = {3, 3, 7};
const Bytes kTime = {8, 10, 1, 2, 3, 4, 0, 0, 0, 0};

}  // namespace

TEST_F(Steer, ClampsMssInAnyPlace) {
    struct Row {
        const char* what;
        Bytes before, after;  // around the option
    };
    const Row rows[] = {
        {"alone", {}, {}},
        {"as Linux sends it", {}, kSackOk + kTime + kNop + kScale},
        {"last", kSackOk + kTime + kNop + kScale, {}},
        {"at an odd place", kNop, kNop + kNop + kEnd},
        {"at an odd place behind others", kScale + kSackOk, kNop + kEnd + kEnd},
        {"behind 36 bytes", Bytes(36, 1), {}},
        {"behind an unknown option", Bytes{254, 6, 2, 4, 5, 180}, kNop + kNop},
    };
    for (const bool v4 : {true, false}) {
        const auto limit = static_cast<std::uint16_t>(kMtu - (v4 ? 40 : 60));
        for (const std::uint8_t flags : {kSyn, kSynAck}) {
            for (const Row& row : rows) {
                SCOPED_TRACE(row.what);
                expect_becomes(segment(v4, flags, row.before + mss(1460) + row.after), kRedirect,
                               segment(v4, flags, row.before + mss(limit) + row.after));
                expect_becomes(segment(v4, flags, row.before + mss(65535) + row.after), kRedirect,
                               segment(v4, flags, row.before + mss(limit) + row.after));
            }
        }
    }
    EXPECT_EQ(counters().mss_clamped, 2U * 2 * 7 * 2);
}

// Of several some receivers take the last one.
TEST_F(Steer, ClampsEachOfSeveralMssOptions) {
    expect_becomes(segment(true, kSyn, mss(1460) + kNop + mss(9000) + kNop + mss(500) + kNop + kNop),
                   kRedirect,
                   segment(true, kSyn, mss(1380) + kNop + mss(1380) + kNop + mss(500) + kNop + kNop));
    expect_becomes(segment(false, kSyn, mss(1200) + mss(1460)), kRedirect,
                   segment(false, kSyn, mss(1200) + mss(1360)));
    EXPECT_EQ(counters().mss_clamped, 2U);
}

TEST_F(Steer, LeavesMssAlone) {
    struct Row {
        const char* what;
        std::uint8_t flags;
        Bytes options;
    };
    const Row rows[] = {
        {"no option", kSyn, {}},
        {"small enough", kSyn, mss(1360)},
        {"smaller", kSyn, mss(536)},
        {"not a SYN", TcpFlags::ack, mss(1460)},
        {"a reset", TcpFlags::rst, mss(1460)},
        {"behind the end", kSyn, kEnd + kNop + kNop + kNop + mss(1460)},
        {"length of 0", kSyn, Bytes{5, 0, 1, 1} + mss(1460)},
        {"length of 1", kSyn, Bytes{5, 1, 1, 1} + mss(1460)},
        {"length past the end", kSyn, Bytes{5, 40, 1, 1} + mss(1460)},
        {"length that wraps", kSyn, Bytes{5, 255, 1, 1} + mss(1460)},
        {"an MSS of wrong length", kSyn, Bytes{2, 3, 5} + kNop},
        {"an MSS of length 8", kSyn, Bytes{2, 8, 5, 180, 0, 0, 0, 0}},
        {"an MSS cut by the header's end", kSyn, kNop + kNop + Bytes{2, 4}},
        {"only no-ops", kSyn, Bytes(40, 1)},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.what);
        expect_untouched(segment(true, row.flags, row.options), kRedirect);
    }
    Bytes offset = segment(true, kSyn, mss(1460));
    offset.at(14 + 20 + 12) = 0x40;  // a header of 16 bytes
    expect_untouched(offset, kRedirect);
    Bytes cut = segment(true, kSyn, mss(1460));
    cut.resize(cut.size() - 2);
    expect_untouched(cut, kRedirect);
    EXPECT_EQ(counters().mss_clamped, 0U);
}

TEST_F(Steer, ClampsToTheRoutesMtu) {
    route("10.1.2.0/24", SteerAction::steer, kPeer, 1300);
    expect_becomes(segment(true, kSyn, mss(1360)), kRedirect, segment(true, kSyn, mss(1260)));
}

TEST_F(Steer, NeverClampsWhatPasses) {
    route("10.1.2.0/24", SteerAction::pass);
    expect_untouched(segment(true, kSyn, mss(1460)), kNext);
    expect_untouched(segment(false, kSyn, mss(1460)), kNext, {.mark = kMark});
    peer(PeerState::unknown, Fallback::bypass);
    expect_untouched(segment(false, kSyn, mss(1460)), kNext);
}

}  // namespace wglan::test
