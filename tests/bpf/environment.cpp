// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/environment.h"

#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>
#include <netpacket/packet.h>

#include "tests/support/run_tests.h"

namespace wglan::test {

namespace {

// linux/if_tun.h doesn't go together with net/if.h.
constexpr unsigned long kSetInterface = 0x400454ca;  // TUNSETIFF
constexpr short kTunFlags = 0x0001 | 0x1000;         // IFF_TUN | IFF_NO_PI

std::string bpffs_path;

[[noreturn]] void die(const std::string& what) {
    std::perror(what.c_str());
    std::abort();
}

void control(unsigned long request, ifreq& argument, const char* what) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::ioctl(socket.get(), request, &argument) != 0) die(what);
}

void set_up(const std::string& name, int mtu) {
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    if (mtu != 0) {
        request.ifr_mtu = mtu;
        control(SIOCSIFMTU, request, "set the MTU");
    }
    request.ifr_flags = IFF_UP;
    control(SIOCSIFFLAGS, request, "set a device up");
}

void run(const std::string& command) {
    if (std::system(command.c_str()) != 0) die(command);
}

int skip(const char* reason) {
    std::printf("skipped: %s: %s\n", reason, std::strerror(errno));
    return 77;
}

}  // namespace

TunDevice::TunDevice(const std::string& name, int mtu)
    : name_(name), fd_(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)) {
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = kTunFlags;
    if (!fd_.valid() || ::ioctl(fd_.get(), kSetInterface, &request) != 0) die("make a TUN device");
    set_up(name, mtu);
    ifindex_ = ifindex_of(name);
}

std::string TunDevice::read() const {
    std::string packet(65536, '\0');
    pollfd wait{fd_.get(), POLLIN, 0};
    // Router solicitations and the like come by themselves; what tests send goes to unicast IPv4.
    while (::poll(&wait, 1, 100) == 1) {
        const auto length = ::read(fd_.get(), packet.data(), packet.size());
        if (length > 0 && (packet[0] & 0xf0) == 0x40)
            return packet.substr(0, static_cast<std::size_t>(length));
    }
    return {};
}

int make_veth(const std::string& name, const std::string& peer) {
    run("ip link add " + name + " type veth peer name " + peer);
    set_up(name, 0);
    set_up(peer, 0);
    return ifindex_of(name);
}

void remove_link(const std::string& name) { run("ip link del " + name); }

int ifindex_of(const std::string& name) { return static_cast<int>(::if_nametoindex(name.c_str())); }

void send_frame(int ifindex, const void* bytes, std::size_t size, bool in_pieces) {
    // Kept: to close one waits for a grace period of RCU.
    static UniqueFd sockets[2];
    UniqueFd& socket = sockets[in_pieces ? 1 : 0];
    if (!socket.valid()) {
        socket = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        const int on = 1;
        if (in_pieces && ::setsockopt(socket.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0)
            die("ask for frames in pieces");
    }
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = ifindex;
    // Without it the kernel takes the frame's type from nowhere, and skb->protocol is 0.
    std::memcpy(&to.sll_protocol, static_cast<const char*>(bytes) + 12, 2);
    struct {
        std::uint8_t flags, gso_type;
        std::uint16_t header_length, gso_size, checksum_start, checksum_offset;
    } const description{0, 0, 14, 0, 0, 0};  // struct virtio_net_hdr
    const std::string head(reinterpret_cast<const char*>(&description), in_pieces ? sizeof description : 0);
    const std::string all = head + std::string(static_cast<const char*>(bytes), size);
    // ENOBUFS is how a program's drop looks from here.
    if (::sendto(socket.get(), all.data(), all.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) <
            0 &&
        errno != ENOBUFS)
        die("send a frame");
}

const std::string& bpffs() { return bpffs_path; }

int run_privileged(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return skip("no network and mount namespace of our own");
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return skip("no private mounts");
    if (::access("/dev/net/tun", R_OK | W_OK) != 0) return skip("no TUN devices");
    char directory[] = "/tmp/wglan-bpf-test-XXXXXX";
    if (::mkdtemp(directory) == nullptr) return skip("no temporary directory");
    bpffs_path = directory;
    if (::mount("bpf", directory, "bpf", 0, nullptr) != 0) {
        const int result = skip("no BPF file system");
        ::rmdir(directory);
        return result;
    }
    set_up("lo", 0);
    // Per-CPU rate limits are then those of one CPU.
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    ::sched_setaffinity(0, sizeof one, &one);
    const int result = run_tests();
    ::umount2(directory, MNT_DETACH);
    ::rmdir(directory);
    return result;
}

}  // namespace wglan::test

int main(int argc, char** argv) { return wglan::test::run_privileged(argc, argv); }
