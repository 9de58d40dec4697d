// SPDX-License-Identifier: Apache-2.0
#include "agent/dataplane/direct.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/dataplane/bpffs.h"
#include "agent/dataplane/libbpf_log.h"
#include "agent/dataplane/object.h"
#include "bpf/direct.skel.h"

namespace wglan {

static_assert(static_cast<int>(PodDevice::Kind::peer) == WGLAN_POD_PEER);
static_assert(static_cast<int>(PodDevice::Kind::device) == WGLAN_POD_DEVICE);
static_assert(static_cast<int>(PodDevice::Kind::port) == WGLAN_POD_PORT);
static_assert(static_cast<int>(PodDevice::Kind::bridge) == WGLAN_POD_BRIDGE);
static_assert(kMaxOwnPrefixes == WGLAN_OWN_PREFIXES);

namespace {

constexpr std::array<const char*, 4> kOwnMaps = {"wglan_pods", "wglan_macs", "wglan_own", "wglan_dstats"};
constexpr int kNotSupported = 524;  // the kernel's ENOTSUPP, which no header has

Error why_not_direct(int error) {
    const std::string what = "podDatapath: direct isn't possible on this kernel: ";
    if (error == ESRCH)
        return Error(ErrorKind::unsupported,
                     what +
                         "its conntrack can't be asked by BPF programs (bpf_skb_ct_lookup, Linux 5.18 and "
                         "newer, with BTF and the module nf_conntrack, if it is one); "
                         "use podDatapath: host",
                     error);
    if (error == kNotSupported)
        return Error(ErrorKind::unsupported,
                     what +
                         "its BPF programs run without a JIT, which asking conntrack needs; "
                         "use podDatapath: host",
                     error);
    if (error == EINVAL)
        return Error(ErrorKind::unsupported,
                     what + "it refuses the programs; details with --log-level debug; use podDatapath: host",
                     error);
    return fail_errno("load the BPF programs of podDatapath: direct; details with --log-level debug", error)
        .value();
}

std::string pin_of(const std::string& pin_path, const char* map) {
    return pin_path + "/" + kMapsDirectory + "/" + map;
}

template <class Open>
Result<DirectTables> make_tables(Open open) {
    DirectTables tables;
    const auto take = [&](const char* name, auto& table) -> Result<> {
        auto fd = open(name);
        if (!fd) return Failure(fd.error());
        table = std::remove_reference_t<decltype(table)>(std::move(*fd), name);
        return {};
    };
    Result<> taken = take("wglan_pods", tables.pods);
    if (taken) taken = take("wglan_macs", tables.macs);
    if (taken) taken = take("wglan_own", tables.own);
    if (taken) taken = take("wglan_dstats", tables.stats);
    if (!taken) return Failure(taken.error());
    return tables;
}

bool sizes_match(int fd, std::size_t key, std::size_t value) {
    bpf_map_info info{};
    __u32 length = sizeof info;
    return bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && info.key_size == key &&
           info.value_size == value;
}

bool is_our_layout(const DirectTables& tables) {
    return sizes_match(tables.pods.raw().fd(), sizeof(__u32), sizeof(wglan_pod)) &&
           sizes_match(tables.macs.raw().fd(), sizeof(wglan_mac), sizeof(__u32)) &&
           sizes_match(tables.own.raw().fd(), sizeof(__u32), sizeof(wglan_own)) &&
           sizes_match(tables.stats.raw().fd(), sizeof(__u32), sizeof(wglan_direct_stats));
}

// Address and mask of one prefix, as many bytes as an address of the family has.
template <std::size_t N>
void encode_prefix(const Prefix& prefix, __u8 (&address)[N], __u8 (&mask)[N]) {
    const auto bytes = prefix.address().mapped();
    std::copy(bytes.end() - N, bytes.end(), address);
    for (unsigned bit = 0; bit < prefix.length(); ++bit)
        mask[bit / 8] = static_cast<__u8>(mask[bit / 8] | (0x80U >> (bit % 8)));
}

template <std::size_t N>
Prefix decode_prefix(const __u8 (&address)[N], const __u8 (&mask)[N]) {
    unsigned length = 0;
    for (const __u8 byte : mask) length += static_cast<unsigned>(__builtin_popcount(byte));
    return Prefix::make(IpAddress::from_bytes(std::span(address)).value(), length).value();
}

}  // namespace

// A request to conntrack's netlink interface makes the kernel load it; the answer is of no interest.
void wake_conntrack() {
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    struct {
        nlmsghdr header;
        nfgenmsg body;
    } request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.body.version = NFNETLINK_V0;
    if (socket.valid()) (void)::send(socket.get(), &request, sizeof request, 0);
}

wglan_pod encode_pod(const PodDevice& device) {
    wglan_pod pod{};
    std::copy(device.mac.begin(), device.mac.end(), pod.mac);
    pod.kind = static_cast<__u8>(device.kind);
    return pod;
}

PodDevice decode_pod(int ifindex, const wglan_pod& pod) {
    PodDevice device;
    device.ifindex = ifindex;
    device.kind = static_cast<PodDevice::Kind>(pod.kind);
    std::copy(std::begin(pod.mac), std::end(pod.mac), device.mac.begin());
    return device;
}

wglan_own encode_own(const std::set<Prefix>& own) {
    wglan_own encoded{};
    for (const Prefix& prefix : own) {
        if (prefix.family() == Family::v4 && encoded.count4 < WGLAN_OWN_PREFIXES) {
            auto& to = encoded.ipv4[encoded.count4++];
            encode_prefix(prefix, to.address, to.mask);
        } else if (prefix.family() == Family::v6 && encoded.count6 < WGLAN_OWN_PREFIXES) {
            auto& to = encoded.ipv6[encoded.count6++];
            encode_prefix(prefix, to.address, to.mask);
        }
    }
    return encoded;
}

std::set<Prefix> decode_own(const wglan_own& own) {
    std::set<Prefix> prefixes;
    for (__u32 i = 0; i < std::min<__u32>(own.count4, WGLAN_OWN_PREFIXES); ++i)
        prefixes.insert(decode_prefix(own.ipv4[i].address, own.ipv4[i].mask));
    for (__u32 i = 0; i < std::min<__u32>(own.count6, WGLAN_OWN_PREFIXES); ++i)
        prefixes.insert(decode_prefix(own.ipv6[i].address, own.ipv6[i].mask));
    return prefixes;
}

bool direct_is_pinned(const std::string& pin_path) {
    return open_pin(pin_of(pin_path, "wglan_pods")).has_value();
}

Result<DirectTables> open_pinned_direct(const std::string& pin_path) {
    auto tables = make_tables([&](const char* name) { return open_pin(pin_of(pin_path, name)); });
    if (tables && !is_our_layout(*tables))
        return fail(ErrorKind::unsupported,
                    "the maps of podDatapath: direct below " + pin_path + " are another version's");
    return tables;
}

Result<PodSteering> read_pods(const DirectTables& tables) {
    PodSteering found;
    const auto pods = tables.pods.dump();
    if (!pods) return Failure(pods.error());
    for (const auto& [ifindex, pod] : *pods)
        found.devices.emplace(static_cast<int>(ifindex), decode_pod(static_cast<int>(ifindex), pod));
    const auto macs = tables.macs.dump();
    if (!macs) return Failure(macs.error());
    for (const auto& [key, value] : *macs) {
        MacAddress mac;
        std::copy(std::begin(key.mac), std::end(key.mac), mac.begin());
        found.macs.insert(mac);
    }
    const auto own = tables.own.get(0);
    if (!own) return Failure(own.error());
    found.own = decode_own(*own);
    return found;
}

void DirectObject::Destroy::operator()(wglan_direct* skeleton) const noexcept {
    wglan_direct__destroy(skeleton);
}
DirectObject::DirectObject() = default;
DirectObject::DirectObject(DirectObject&&) noexcept = default;
DirectObject& DirectObject::operator=(DirectObject&&) noexcept = default;
DirectObject::~DirectObject() = default;

const Program& DirectObject::program(std::string_view name) const {
    return *std::find_if(programs_.begin(), programs_.end(),
                         [&](const Program& program) { return program.name == name; });
}

Result<> DirectObject::take_maps(const std::string& pin_path,
                                 const std::function<int(const char*)>& shared_map) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, skeleton_->obj) {
        const std::string name = bpf_map__name(map);
        const int shared = shared_map(name.c_str());
        UniqueFd pinned;
        if (shared < 0 && std::find(kOwnMaps.begin(), kOwnMaps.end(), name) != kOwnMaps.end()) {
            auto fd = open_pin(pin_of(pin_path, name.c_str()));
            if (fd && same_definition(map, fd->get())) pinned = std::move(*fd);
        }
        const int fd = shared >= 0 ? shared : pinned.get();
        if (fd >= 0 && bpf_map__reuse_fd(map, fd) != 0) return fail_errno("re-use BPF map " + name);
    }
    return {};
}

Result<> DirectObject::pin_maps(const std::string& pin_path) const {
    for (const char* name : kOwnMaps) {
        const int fd = bpf_object__find_map_fd_by_name(skeleton_->obj, name);
        const std::string path = pin_of(pin_path, name);
        const auto there = open_pin(path);
        bpf_map_info ours{}, theirs{};
        __u32 length = sizeof ours;
        if (bpf_obj_get_info_by_fd(fd, &ours, &length) != 0) return fail_errno("look at a BPF map");
        length = sizeof theirs;
        if (there && bpf_obj_get_info_by_fd(there->get(), &theirs, &length) == 0 && theirs.id == ours.id)
            continue;
        if (auto removed = unpin(path); !removed) return removed;
        if (auto pinned = pin(fd, path); !pinned) return pinned;
    }
    return {};
}

Result<DirectObject> DirectObject::load(const std::string& pin_path,
                                        const std::function<int(const char*)>& shared_map) {
    log_libbpf_through_ours();
    wake_conntrack();
    DirectObject object;
    object.skeleton_.reset(wglan_direct__open());
    if (!object.skeleton_) return fail_errno("open the BPF object of podDatapath: direct");
    if (auto taken = object.take_maps(pin_path, shared_map); !taken) return Failure(taken.error());
    if (const int error = -wglan_direct__load(object.skeleton_.get()); error != 0)
        return Failure(why_not_direct(error));
    auto tables = make_tables([&](const char* name) {
        return duplicate(bpf_object__find_map_fd_by_name(object.skeleton_->obj, name));
    });
    if (!tables) return Failure(tables.error());
    object.tables_ = std::move(*tables);
    auto programs = loaded_programs(object.skeleton_->obj);
    if (!programs) return Failure(programs.error());
    object.programs_ = std::move(*programs);
    if (auto pinned = object.pin_maps(pin_path); !pinned) return Failure(pinned.error());
    return object;
}

}  // namespace wglan
