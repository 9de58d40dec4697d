// SPDX-License-Identifier: Apache-2.0
#include "agent/control/json.h"

#include <gtest/gtest.h>

#include "tests/support/control/fake_control.h"

namespace wglan {
namespace {

using test::kNow;

TEST(StatusJson, HasExactlyTheShapeThatIsPromised) {
    auto status = test::sample_status();
    status.peers.resize(1);
    status.peers[0].candidates.resize(1);
    status.sources.resize(1);
    status.steering.attachments.resize(1);
    EXPECT_EQ(to_json(status, kNow), Json::parse(R"({
 "version":"0.1.0","pid":1234,"uptimeSeconds":192,
 "node":{"name":"node1","publicKey":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","address":"200:1001::1",
         "interface":"wglan0","listenPort":51820,"mtu":1420,"backend":"kernel","keyAgeSeconds":7200},
 "sources":[{"name":"static","state":"synced","records":1,"lastSync":"2027-01-15T07:56:50Z","lastError":"",
             "lagSeconds":null,"notes":[]}],
 "peers":[{"name":"node2","publicKey":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","address":"200:1001::2",
           "state":"up","reason":"handshake 12s ago","endpoint":"192.0.2.2:51820","path":"direct","needsRelay":false,
           "candidates":[{"endpoint":"192.0.2.2:51820","source":"roamed","result":"handshake","score":1.0,"rttMs":0.42,
                          "nextTrySeconds":null}],
           "lastHandshake":"2027-01-15T07:59:48Z","handshakeAgeSeconds":12,"rttMs":0.42,
           "minRttMs":0.31,"probeLoss":0.0625,"rxBytes":1258291,"txBytes":2048,
           "prefixes":["10.244.2.0/24","192.0.2.2/32"],
           "prefixDetails":[{"prefix":"10.244.2.0/24","class":"pod","source":"service:discovery:51821"},
                            {"prefix":"192.0.2.2/32","class":"node","source":"service:discovery:51821"}],
           "sources":["service:discovery:51821","cache"],"endpointChanges":1,"nextTrySeconds":null,"agentless":false}],
 "refused":[{"peer":"node9","prefix":"10.244.2.0/24","reason":"node2 holds it and is up"}],
 "steering":{"attachments":[{"interface":"eth0","hook":"tc-egress","kind":"tcx","program":"wglan_egress"}],
             "podDatapath":"host","pods":"always","cni":{"left":0,"steered":0,"failovers":0},
             "prefixes":{"ipv4":4,"ipv6":2},
             "counters":{"steered":12345,"passed":99000,"dropped":{"loop":1,"peer_down":5,"quarantined":0},
                         "mssClamped":7,"packetTooBig":2,"forwarded":11,"handshakesCloned":3,
                         "direct":{"sent":0,"delivered":0,"known":0}},
             "guard":{"enabled":true,"handshakesPerSecond":50,"interfaces":[
                {"interface":"eth0","mode":"tc","note":"another XDP program (filter, id 9) is there"}]}},
 "settings":{"file":"/etc/wglan/config.yaml","loaded":"2027-01-15T07:56:48Z","error":""},
 "warnings":["IPv6 forwarding is off on eth0: pods of other nodes can't be reached over it"]})"));
}

TEST(StatusJson, AbsentValuesAreEmptyOrNull) {
    auto peer = to_json(PeerView{}, kNow);
    for (auto key : {"publicKey", "address", "endpoint", "lastHandshake"}) EXPECT_EQ(peer[key], "") << key;
    for (auto key : {"rttMs", "minRttMs", "probeLoss", "handshakeAgeSeconds", "nextTrySeconds"})
        EXPECT_TRUE(peer[key].is_null()) << key;
    for (auto key : {"candidates", "prefixes", "sources"}) EXPECT_EQ(peer[key], Json::array()) << key;
    EXPECT_EQ(peer["path"], "direct");
    auto status = to_json(StatusView{}, kNow);
    EXPECT_EQ(status["steering"]["counters"]["dropped"], Json::object());
    EXPECT_EQ(status["peers"], Json::array());
}

TEST(StatusJson, HandshakeAgeIsNeverNegative) {
    PeerView peer;
    peer.last_handshake = kNow + 5;  // the clock was set back
    EXPECT_EQ(to_json(peer, kNow)["handshakeAgeSeconds"], 0);
}

TEST(RoutesJson, NamesTheKernelsRoute) {
    auto json = to_json(test::sample_routes());
    EXPECT_EQ(json["routes"][0],
              Json::parse(R"({"prefix":"10.244.2.0/24","peer":"node2","action":"steer","mtu":1420,
        "source":"service:discovery:51821","class":"pod","why":"",
        "hits":1234567,"kernelRoute":{"state":"present","metric":2147483632,"device":"wglan0","form":"backup","fault":"","inForce":"via 192.0.2.2 dev eth0"}})"));
    EXPECT_EQ(json["routes"][1]["kernelRoute"]["state"], "missing");
    EXPECT_TRUE(json["routes"][1]["kernelRoute"]["metric"].is_null());
    EXPECT_EQ(json["routes"][2],
              Json::parse(R"({"prefix":"169.254.169.254/32","peer":"","action":"pass","mtu":null,
        "source":"configuration","class":"","why":"","hits":null,"kernelRoute":{"state":"none","metric":null,"device":"","form":"","fault":"","inForce":""}})"));
    EXPECT_EQ(json["refused"].size(), 1U);
}

TEST(ExplanationJson, SaysContinueForStepsThatDecideNothing) {
    test::FakeControl fake;
    ExplainRequest request;
    request.destination = test::address("10.244.2.7");
    auto json = to_json(request, *fake.explain(request));
    EXPECT_EQ(json["destination"], "10.244.2.7");
    EXPECT_EQ(json["verdict"], "steer");
    EXPECT_EQ(json["via"], "wglan0");
    EXPECT_EQ(json["peer"], "node2");
    EXPECT_EQ(json["peerState"], "up");
    EXPECT_EQ(json["direct"], false);
    EXPECT_EQ(json["steps"].front()["result"], "continue");
    EXPECT_EQ(json["steps"].back(),
              Json::parse(R"({"step":"redirect","result":"steer","detail":"into wglan0 for node2"})"));
}

TEST(RecordAndKeysJson, HoldWhatIsPublished) {
    test::FakeControl fake;
    auto record = to_json(*fake.record());
    EXPECT_EQ(record["endpoints"], Json::parse(R"(["192.0.2.1:51820","[2001:db8::1]:51820"])"));
    EXPECT_EQ(record["podPrefixes"], Json::parse(R"(["10.244.1.0/24","fd00:244:1::/64"])"));
    EXPECT_EQ(record["labels"], Json::parse(R"({"zone":"fra1"})"));
    EXPECT_EQ(record["observed"], Json::object());
    EXPECT_EQ(record["sequence"], 7);
    auto keys = to_json(fake.keys());
    EXPECT_EQ(keys["publicKey"], to_string(test::test_key(1)));
    EXPECT_EQ(keys["ageSeconds"], 7200);
}

TEST(DoctorJson, HoldsFindingsNatAndWhoWasAsked) {
    EXPECT_EQ(to_json(test::sample_doctor()), Json::parse(R"({
 "version":"0.1.0",
 "checks":[{"check":"kernel","status":"pass","text":"Linux 6.12.0: BTF, TCX","mend":""},
           {"check":"mtu","status":"warn","text":"cni0 leads to pods with MTU 1500, wglan0 has 1420",
            "mend":"set the CNI's MTU to 1420"},
           {"check":"port","status":"fail","text":"203.0.113.7:51820 is not reachable","mend":"let UDP in"}],
 "nat":[{"family":"ipv4","mapping":"endpoint-independent","keepsPort":true,"carrierGrade":false,
         "seen":["203.0.113.7:51820"],"seenBy":["node2"],"fromRecords":false}],
 "reachability":[{"peer":"node2","endpoint":"198.51.100.2:51820","status":"knocked","seen":"203.0.113.7:51820",
                  "clockOffsetSeconds":-3,"knocks":[{"target":"203.0.113.7:51820","result":"filtered"}]},
                 {"peer":"node3","endpoint":"198.51.100.3:51820","status":"noAnswer","seen":"",
                  "clockOffsetSeconds":null,"knocks":[]}],
 "settings":{"interface":"wglan0","listenPort":51820,"firewallMark":16,"firewallMarkMask":16,"podDatapath":"host"}})"));
}

TEST(Dump, ReplacesBytesThatAreNotUtf8) {
    EXPECT_EQ(dump(Json{{"name", "a\xff"}}), "{\"name\":\"a\xef\xbf\xbd\"}");
}

}  // namespace
}  // namespace wglan
