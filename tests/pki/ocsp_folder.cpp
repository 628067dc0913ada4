#include "pki/ocsp_folder.h"

#include "tests/pki/workshop.h"

using namespace kokuin;
using namespace kokuin::pki;
using namespace std::chrono_literals;

namespace {

const WallTime now = std::chrono::floor<seconds>(SystemWallClock().now());

/// A folder as a publication leaves it: the CA's answer about "good", for both hashes.
struct Published {
    workshop::Folder folder;
    std::string dir;

    Published() {
        folder.root("ca");
        folder.issue("good", "ca", workshop::tsu_extensions);
        folder.issue("other", "ca", workshop::tsu_extensions);
        dir = folder.at("ocsp");
        std::filesystem::create_directory(dir);
        for (const auto hash : {Hash::sha1, Hash::sha256}) {
            const auto one = id("good", hash);
            folder.write("ocsp/" + ocsp_file_name(one).value(), response(one));
        }
    }
    [[nodiscard]] CertId id(const std::string& name, Hash hash) const {
        return CertId::of(folder.certificate(name), folder.certificate("ca"), hash);
    }
    [[nodiscard]] Bytes response(const CertId& one) const {
        OcspAnswer answer;
        answer.responder_key_hash = key_hash(folder.certificate("ca"), Hash::sha1);
        answer.produced_at = now;
        answer.responses.push_back({one, SingleResponse::State::good, {}, {}, now, now + 24h});
        auto made = make_ocsp_response(
            answer, Hash::sha256,
            [this](Hash hash, View message) -> Result<Bytes> { return folder.sign("ca", hash, message); });
        REQUIRE(made);
        return *made;
    }
    [[nodiscard]] PublishedResponse ask(const OcspRequest& request, WallTime at = now) const {
        return answer_from_folder(dir, request.encode(), at);
    }
};

OcspStatus status(const PublishedResponse& response) {
    const auto read = OcspResponse::decode(response.der);
    REQUIRE(read);
    return read->status();
}

}  // namespace

TEST_CASE("the response that was signed ahead of time is found by its CertID") {
    const Published place;
    for (const auto hash : {Hash::sha1, Hash::sha256}) {
        OcspRequest request;
        request.ids.push_back(place.id("good", hash));
        request.nonce = Bytes(16, 7);  // nobody is here to sign it
        const auto response = place.ask(request);
        CHECK(response.trouble.empty());
        CHECK(response.this_update == now);
        CHECK(response.next_update == now + 24h);
        const auto read = OcspResponse::decode(response.der);
        REQUIRE(read);
        const auto verdict =
            read->check(place.folder.certificate("good"), place.folder.certificate("ca"), now);
        REQUIRE(verdict);
        CHECK(verdict->response.state == SingleResponse::State::good);
    }
}

TEST_CASE("what isn't there is nobody's business") {
    const Published place;
    OcspRequest request;
    request.ids.push_back(place.id("other", Hash::sha256));
    CHECK(status(place.ask(request)) == OcspStatus::unauthorized);
    // Several at once: nobody has signed that.
    request.ids = {place.id("good", Hash::sha1), place.id("good", Hash::sha256)};
    CHECK(status(place.ask(request)) == OcspStatus::unauthorized);
    // Another issuer's name over the same key.
    auto renamed = place.id("good", Hash::sha256);
    renamed.issuer_name_hash[0] ^= 1;
    request.ids = {renamed};
    CHECK(status(place.ask(request)) == OcspStatus::unauthorized);
    for (const auto& mend : std::vector<std::function<void(CertId&)>>{
             [](CertId& id) { id.algorithm = "2.16.840.1.101.3.4.2.3"; },
             [](CertId& id) { id.algorithm = "1.2.840.113549.2.5"; },
             [](CertId& id) { id.issuer_key_hash.pop_back(); }, [](CertId& id) { id.serial = Bytes{0x80}; },
             [](CertId& id) { id.serial = Bytes(200, 0x11); }}) {
        auto odd = place.id("good", Hash::sha256);
        mend(odd);
        CHECK_FALSE(ocsp_file_name(odd));
        request.ids = {odd};
        CHECK(status(place.ask(request)) == OcspStatus::unauthorized);
    }
    CHECK(status(answer_from_folder(place.dir, as_view("GET / HTTP/1.0"), now)) ==
          OcspStatus::malformed_request);
    CHECK(status(answer_from_folder(place.dir, View(), now)) == OcspStatus::malformed_request);
    request.ids.assign(100, place.id("good", Hash::sha256));
    CHECK(status(place.ask(request)) == OcspStatus::malformed_request);  // too long
}

TEST_CASE("what an operator must mend is said, and the client is told to wait") {
    const Published place;
    OcspRequest request;
    request.ids.push_back(place.id("good", Hash::sha256));
    CHECK(status(place.ask(request, now + 24h)) == OcspStatus::successful);
    const auto late = place.ask(request, now + 24h + 1s);
    CHECK(status(late) == OcspStatus::try_later);
    CHECK(late.trouble.find("publish again") != std::string::npos);
    CHECK_FALSE(late.next_update);

    const auto file = "ocsp/" + ocsp_file_name(request.ids[0]).value();
    place.folder.write(file, place.response(place.id("other", Hash::sha256)));
    const auto mixed = place.ask(request);
    CHECK(status(mixed) == OcspStatus::internal_error);
    CHECK(mixed.trouble.find("isn't the response that its name says") != std::string::npos);
    place.folder.write(file, as_view("half a file"));
    CHECK(status(place.ask(request)) == OcspStatus::internal_error);
    std::filesystem::remove_all(place.dir);
    const auto gone = place.ask(request);
    CHECK(status(gone) == OcspStatus::internal_error);
    CHECK_FALSE(gone.trouble.empty());
}
