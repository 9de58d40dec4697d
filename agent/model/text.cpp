// SPDX-License-Identifier: Apache-2.0
// Names of the enumerations, as they stand in JSON, tables and logs.
#include "agent/model/guard.h"
#include "agent/model/peer.h"
#include "agent/model/record.h"
#include "agent/model/steering.h"

namespace wglan {

std::string_view to_string(SourceKind kind) {
    switch (kind) {
        case SourceKind::static_entry:
            return "static";
        case SourceKind::kubernetes:
            return "kubernetes";
        case SourceKind::service:
            return "service";
        case SourceKind::cache:
            return "cache";
    }
    return "?";
}

std::string_view to_string(SourceState state) {
    switch (state) {
        case SourceState::connecting:
            return "connecting";
        case SourceState::synced:
            return "synced";
        case SourceState::degraded:
            return "degraded";
        case SourceState::down:
            return "down";
    }
    return "?";
}

std::string_view to_string(PeerState state) {
    switch (state) {
        case PeerState::unknown:
            return "unknown";
        case PeerState::up:
            return "up";
        case PeerState::degraded:
            return "degraded";
        case PeerState::down:
            return "down";
        case PeerState::quarantined:
            return "quarantined";
    }
    return "?";
}

std::string_view to_string(PrefixClass cls) {
    switch (cls) {
        case PrefixClass::overlay:
            return "overlay";
        case PrefixClass::node:
            return "node";
        case PrefixClass::pod:
            return "pod";
        case PrefixClass::extra:
            return "extra";
    }
    return "?";
}

std::string_view to_string(CandidateSource source) {
    switch (source) {
        case CandidateSource::roamed:
            return "roamed";
        case CandidateSource::configured:
            return "configured";
        case CandidateSource::announced:
            return "announced";
        case CandidateSource::observed:
            return "observed";
        case CandidateSource::cached:
            return "cached";
        case CandidateSource::kubernetes:
            return "kubernetes";
        case CandidateSource::peers:
            return "peers";
    }
    return "?";
}

std::string_view to_string(SteerAction action) {
    switch (action) {
        case SteerAction::pass:
            return "pass";
        case SteerAction::steer:
            return "steer";
        case SteerAction::drop:
            return "drop";
    }
    return "?";
}

std::string_view to_string(Fallback fallback) { return fallback == Fallback::drop ? "drop" : "bypass"; }

std::string_view to_string(Attachment::Hook hook) {
    switch (hook) {
        case Attachment::Hook::tc_egress:
            return "tc-egress";
        case Attachment::Hook::tc_ingress:
            return "tc-ingress";
        case Attachment::Hook::xdp:
            return "xdp";
    }
    return "?";
}

std::string_view to_string(Attachment::Kind kind) {
    switch (kind) {
        case Attachment::Kind::tcx:
            return "tcx";
        case Attachment::Kind::clsact:
            return "clsact";
        case Attachment::Kind::xdp:
            return "xdp";
    }
    return "?";
}

std::string_view to_string(GuardMode mode) {
    switch (mode) {
        case GuardMode::native:
            return "xdp-native";
        case GuardMode::generic:
            return "xdp-generic";
        case GuardMode::tc:
            return "tc";
    }
    return "?";
}

}  // namespace wglan
