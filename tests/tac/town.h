// A TAA, a TSU and an audit between them, all good; each test spoils one thing.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tac/validate.h"
#include "tests/pki/workshop.h"

namespace town {

using namespace kokuin;
using namespace kokuin::tac;

inline const std::string taa_extensions =
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature";
inline const std::string tls_extensions = taa_extensions + "\nextendedKeyUsage=serverAuth,clientAuth";

/// Certificates and keys by the stock openssl: root → middle → taa; root → weak-taa (RSA-1024), tsu,
/// other-tsu, channel; foreign → foreign-taa.
inline const workshop::Folder& folder() {
    static const workshop::Folder made;
    static const bool once = [] {
        made.root("root");
        made.root("foreign");
        made.issue("middle", "root", workshop::ca_extensions);
        made.issue("taa", "middle", taa_extensions);
        made.issue("weak-taa", "root", taa_extensions, "-days 365", "rsa:1024");
        made.issue("old-taa", "root", taa_extensions, "-days 1");
        made.issue("tsu", "root", workshop::tsu_extensions);
        made.issue("other-tsu", "root", workshop::tsu_extensions);
        made.issue("channel", "root", tls_extensions);
        made.issue("foreign-taa", "foreign", taa_extensions);
        return true;
    }();
    (void)once;
    return made;
}

inline pki::Certificate certificate(const std::string& name) {
    return folder().certificate(name);
}

inline Bytes sign(const std::string& name, pki::Hash hash, View message) {
    return folder().sign(name, hash, message);
}

/// Replaces one occurrence of octets by others of the same length.
inline Bytes replaced(Bytes in, View from, View to) {
    REQUIRE(from.size() == to.size());
    const auto at = std::search(in.begin(), in.end(), from.begin(), from.end());
    REQUIRE(at != in.end());
    std::copy(to.begin(), to.end(), at);
    return in;
}
inline Bytes replaced(Bytes in, std::string_view from, std::string_view to) {
    return replaced(std::move(in), as_view(from), as_view(to));
}

/// All certificates are valid then, however long it took to make them. The same moment for the whole program:
/// two worlds that begin in it have the same clocks.
inline WallTime in_an_hour() {
    static const WallTime moment =
        WallTime(std::chrono::floor<seconds>(SystemWallClock().now().time_since_epoch())) +
        std::chrono::hours(1);
    return moment;
}

/// One audit. The TSU's clock is 12.345 ms ahead, the delay 4 ms.
struct Audit {
    std::string signer = "taa";
    pki::Hash hash = pki::Hash::sha256;
    Tac tac;
    std::function<Bytes(Bytes)> forge;        ///< changes the info before it is signed
    std::function<Bytes(Bytes)> forge_after;  ///< changes the whole TAC after it was signed
    Rules rules;
    Situation situation{certificate("tsu"), std::nullopt, {}, "boot-1"};
    std::optional<Exchange> exchange;
    std::vector<Bytes> chain;

    Audit() : Audit(in_an_hour()) {}
    explicit Audit(WallTime at, MonoTime mono = MonoTime(seconds(1000))) {
        rules.anchors = {certificate("root")};
        rules.intermediates = {certificate("taa"), certificate("middle")};
        Exchange made;
        made.nonce = Bytes(16, 0x42);
        made.tsu = "tsu-1";
        made.boot_id = "boot-1";
        made.received = {mono, at, mono + nanoseconds(200), {}};
        made.sent = {mono + microseconds(300),
                     at + microseconds(300),
                     mono + microseconds(300) + nanoseconds(200),
                     {}};
        exchange = made;
        situation.now = {
            mono + milliseconds(40), at + milliseconds(40), mono + milliseconds(40) + nanoseconds(200), {}};

        const pki::Certificate taa = certificate("taa");
        const pki::Certificate tsu = certificate("tsu");
        tac.holder_name = tsu.subject_der();
        tac.digest_algorithm = plain(pki::Hash::sha256);
        tac.holder_digest = tsu.digest(pki::Hash::sha256);
        tac.issuer_name = taa.subject_der();
        tac.signature_algorithm = rsa_with(pki::Hash::sha256);
        tac.serial = {0x01, 0x02, 0x03};
        measured(microseconds(12'345));
        tac.delay = milliseconds(4);
        tac.policies = {"1.3.6.1.4.1.955.1.18.1.1"};
        tac.max_offset = milliseconds(500);
        tac.max_delay = milliseconds(100);
        tac.authority_key = AuthorityKey{Bytes(20, 7), taa.issuer_der(), {0x11}};
        tac.no_rev_avail = true;
    }

    /// The offset, with times that fit the record of the exchange.
    void measured(microseconds offset, nanoseconds life = std::chrono::hours(25)) {
        tac.offset = offset;
        const WallTime middle = exchange->received.wall + (exchange->sent.wall - exchange->received.wall) / 2;
        set_validity(tac, middle - offset, life);
    }

    [[nodiscard]] Bytes der() const {
        auto info = encode_info(tac);
        INFO((info.ok() ? "" : info.error().text));
        REQUIRE(info.ok());
        Bytes octets = forge ? forge(*info) : *info;
        Bytes whole = assemble(octets, rsa_with(hash), sign(signer, hash, octets));
        return forge_after ? forge_after(whole) : whole;
    }
    [[nodiscard]] Delivered delivered() const { return {der(), chain, exchange}; }
    [[nodiscard]] Verdict judge() const { return validate(delivered(), rules, situation); }

    [[nodiscard]] std::shared_ptr<const AcceptedTac> accepted() const {
        const Verdict verdict = judge();
        if (const auto* no = std::get_if<Refusal>(&verdict))
            FAIL("refused: " << name(no->reason) << ": " << no->text);
        if (const auto* stop = std::get_if<StopOrder>(&verdict)) FAIL("an order to stop: " << stop->text);
        return std::get<std::shared_ptr<const AcceptedTac>>(verdict);
    }
    [[nodiscard]] StopOrder stops() const {
        const Verdict verdict = judge();
        if (const auto* no = std::get_if<Refusal>(&verdict))
            FAIL("refused: " << name(no->reason) << ": " << no->text);
        REQUIRE(std::holds_alternative<StopOrder>(verdict));
        return std::get<StopOrder>(verdict);
    }
    /// The word of the refusal, "accepted" or "stop".
    [[nodiscard]] std::string outcome() const {
        const Verdict verdict = judge();
        if (const auto* no = std::get_if<Refusal>(&verdict)) {
            CHECK(!no->text.empty());
            CHECK(no->text.find('\n') == std::string::npos);
            return std::string(name(no->reason));
        }
        return std::holds_alternative<StopOrder>(verdict) ? "stop" : "accepted";
    }
};

}  // namespace town
