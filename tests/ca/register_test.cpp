// The register is rebuilt from the archive, and an archive that was changed is refused.
#include "ca/register.h"

#include <sqlite3.h>

#include "tests/ca/workshop.h"
#include "tests/support/text.h"

using namespace kokuin;
using namespace kokuin::ca;
using namespace std::chrono_literals;
using testing::has;

namespace {

/// With a TSU's certificate, the one before it revoked, a CRL of each CA and a publication's signature.
struct Full : Office {
    std::string first, second;

    Full() {
        first = tsu("one", "/CN=TSU 1");
        revoke(first, pki::Reason::superseded);
        second = tsu("two", "/CN=TSU 1");
        crl(Profile::root, 1, {});
        crl(Profile::issuing, 1, {first});
        seal();
    }
    std::string tsu(const std::string& key, const std::string& subject) const {
        Order order;
        order.request = request(key, subject);
        const auto made = plan(order);
        INFO((made ? "" : made.error().text));
        REQUIRE(made);
        return serial_text(issue(*made).serial());
    }
    void crl(Profile ca, std::int64_t number, const std::vector<std::string>& revoked) const {
        const auto books = open();
        const auto& what_was = books->what_was();
        const auto& own = (ca == Profile::root ? what_was.root() : what_was.issuing())->certificate;
        pki::CrlPlan plan{own.subject_der(), own.spki(), clock.at, clock.at + 24h, number, {}};
        for (const auto& serial : revoked)
            plan.entries.push_back({*from_hex(serial), clock.at, pki::Reason::superseded});
        const auto der = pki::make_crl(plan, pki::Hash::sha256, signer(std::string(name(ca))));
        REQUIRE(der);
        store::Event event;
        event.kind = "ca.crl";
        event.subject = std::string(name(ca));
        event.fields["number"] = number;
        const store::Blob blob(*der);
        event.blobs.push_back(blob.id());
        REQUIRE(books->record(event, {blob}));
    }
    void seal() const {
        const auto books = open();
        const auto& what_was = books->what_was();
        store::Event event;
        event.kind = "ca.published";
        event.fields["signature"] =
            folder.sign("issuing", pki::Hash::sha256,
                        sealed_text(books->archive_id(), what_was.records, what_was.digest));
        REQUIRE(books->record(event, {}));
    }
    [[nodiscard]] std::string refusal() const {
        const auto books = Books::open(settings.archive, clock);
        REQUIRE_FALSE(books);
        CHECK(books.error().kind == Error::Kind::environment);
        return books.error().text;
    }
    /// Somebody with the right to write changes the newest segment.
    void sql(const std::string& statement) const {
        std::string path;
        for (const auto& entry : std::filesystem::directory_iterator(settings.archive))
            if (entry.path().extension() == ".sqlite") path = entry.path().string();
        sqlite3* db = nullptr;
        REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
        char* error = nullptr;
        const int done = sqlite3_exec(db, statement.c_str(), nullptr, nullptr, &error);
        INFO((error ? error : ""));
        REQUIRE(done == SQLITE_OK);
        REQUIRE(sqlite3_changes(db) > 0);
        sqlite3_close(db);
    }
    /// A record put in the place of another, correctly encoded: what the archive alone can't notice.
    void replace(store::RecordNumber number, const std::function<void(store::Record&)>& change) const {
        auto reader = store::ArchiveReader::open(settings.archive);
        REQUIRE(reader);
        auto found = (*reader)->record(number);
        REQUIRE(found);
        change(found->record);
        const auto der = store::encode(found->record);
        REQUIRE(der);
        reader->reset();
        sql("UPDATE record SET der = x'" + to_hex(*der) + "' WHERE number = " + std::to_string(number));
    }
};

store::RecordNumber number_of(const Full& full, const std::string& kind) {
    auto reader = store::ArchiveReader::open(full.settings.archive);
    REQUIRE(reader);
    store::RecordNumber found = -1;
    store::EventQuery query;
    query.kind = kind;
    REQUIRE((*reader)->events(query, [&](const store::Found& one) {
        found = one.record.number;
        return true;
    }));
    REQUIRE(found >= 0);
    return found;
}

}  // namespace

TEST_CASE("the register is what was recorded, with or without the lock") {
    const Full full;
    for (const bool locked : {true, false}) {
        const auto what_was = locked ? full.open()->what_was() : *look_into(full.settings.archive);
        REQUIRE(what_was.issued.size() == 4);
        CHECK(what_was.root()->profile == Profile::root);
        const auto* first = what_was.find(full.first);
        REQUIRE(first);
        REQUIRE(first->revoked);
        CHECK(first->revoked->reason == pki::Reason::superseded);
        CHECK(first->revoked->why == "why");
        CHECK_FALSE(first->living(full.clock.at));
        CHECK(what_was.find(full.second)->living(full.clock.at));
        CHECK_FALSE(what_was.find(full.second)->living(full.clock.at + 24h * 3651));
        CHECK(what_was.crl_numbers.at(Profile::issuing) == 1);
        CHECK(what_was.published);
        CHECK(what_was.issuer_of(*first).serial == what_was.issuing()->serial);
        CHECK(what_was.issuer_of(*what_was.issuing()).serial == what_was.root()->serial);
    }
}

TEST_CASE("two at once, and a clock that was turned back, are refused") {
    Full full;
    {
        const auto books = full.open();
        CHECK(has(full.refusal(), "process"));
    }
    full.clock.at -= 1h;
    CHECK(has(full.refusal(), "set the clock"));
    full.clock.at += 1h;
    CHECK(full.open());
}

TEST_CASE("a record that is gone, or changed, is noticed") {
    SECTION("its row") {
        const Full full;
        full.sql("DELETE FROM record WHERE number = 2");
        CHECK_FALSE(Books::open(full.settings.archive, full.clock));
    }
    SECTION("only from the index") {
        const Full full;
        full.sql("DELETE FROM event WHERE kind = 'ca.revoked'");
        CHECK(has(full.refusal(), "the index lacks record"));
    }
    SECTION("the reason of a revocation") {
        const Full full;
        full.replace(number_of(full, "ca.revoked"), [](store::Record& record) {
            std::get<store::Event>(record.body).fields["reason"] = std::string("keyCompromise");
        });
        CHECK(has(full.refusal(), "the CA's signature isn't over the records before it"));
    }
    SECTION("who issued a certificate") {
        const Full full;
        full.replace(number_of(full, "ca.issued"), [](store::Record& record) {
            std::get<store::Event>(record.body).fields["by"] = std::string("nobody");
        });
        CHECK(has(full.refusal(), "the CA's signature isn't over the records before it"));
    }
    SECTION("a revocation of something else") {
        const Full full;
        full.replace(number_of(full, "ca.revoked"),
                     [&](store::Record& record) { std::get<store::Event>(record.body).subject = "00"; });
        CHECK_FALSE(Books::open(full.settings.archive, full.clock));
    }
    SECTION("another certificate under the same record") {
        const Full full;
        full.replace(number_of(full, "ca.issued"), [&](store::Record& record) {
            auto& event = std::get<store::Event>(record.body);
            const auto root = full.settings.archive;
            event.blobs.front() = store::blob_id(look_into(root)->root()->certificate.der());
        });
        CHECK_FALSE(Books::open(full.settings.archive, full.clock));
    }
}

TEST_CASE("records that can't follow from those before are refused") {
    const Full full;
    SECTION("a CRL that revokes what no record does") {
        full.crl(Profile::issuing, 2, {full.first, full.second});
        CHECK(has(full.refusal(), "but no record before it does"));
    }
    SECTION("a CRL number that was left out, or used twice") {
        full.crl(Profile::issuing, 3, {});
        CHECK(has(full.refusal(), "CRL number 3 after 1"));
    }
    SECTION("a certificate that somebody else has signed") {
        full.folder.root("stranger");
        full.folder.issue("foreign", "stranger", workshop::tsu_extensions);
        full.record(full.folder.certificate("foreign"), Profile::tsu);
        CHECK(has(full.refusal(), "this CA hasn't signed"));
    }
    SECTION("a certificate twice") {
        const auto certificate = full.open()->what_was().find(full.second)->certificate;
        full.record(certificate, Profile::tsu);
        CHECK(has(full.refusal(), "used before"));
    }
    SECTION("a second root") {
        full.folder.root("stranger");
        full.record(full.folder.certificate("stranger"), Profile::root);
        CHECK(has(full.refusal(), "where none can be"));
    }
    SECTION("revoked twice") {
        const auto books = full.open();
        REQUIRE(books->record(revoked_event(*books->what_was().find(full.first),
                                            {books->now(), pki::Reason::superseded, "why", "by"}, ""),
                              {}));
        CHECK_FALSE(books->read_again());
    }
}
