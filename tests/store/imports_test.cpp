// Imports, their contents in a real folder and their events in a real archive.
#include "store/imports.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using test::at;
using test::noon;

namespace {

Bytes octets_of(const std::string& text) {
    return {text.begin(), text.end()};
}

unsigned mode_of(const std::string& path) {
    struct stat there {};
    REQUIRE(::stat(path.c_str(), &there) == 0);
    return there.st_mode & 0777U;
}

Import an_import(KeptContent content) {
    Import import;
    import.kind = "room-entry";
    import.subject = "machine room";
    import.from = at(noon - 86'400'000'000);
    import.to = at(noon);
    import.content = std::move(content);
    import.why = "monthly";
    import.by = "operator 1";
    import.account = "tsad";
    return import;
}

EventSource events_in(const Archive& archive) {
    return [&archive](const EventQuery& query, const Visitor& visit) { return archive.events(query, visit); };
}

}  // namespace

TEST_CASE("a content lies apart, whole, altered or erased") {
    const test::Folder folder;
    const PersonalFolder personal(folder / "personal");
    CHECK(personal.files()->empty());
    const auto content = octets_of("09:00 somebody\n");
    const auto kept = personal.keep(content);
    REQUIRE(kept);
    CHECK(is_content_id(kept->id));
    CHECK(kept->size == static_cast<std::int64_t>(content.size()));
    CHECK(mode_of(personal.dir()) == 0700);
    const auto path = personal.dir() + "/" + kept->id;
    CHECK(mode_of(path) == 0600);
    CHECK(*personal.files() == std::vector{kept->id});
    CHECK(personal.state(*kept) == ContentState::whole);

    // The same content again has another key, so that equal ones don't show.
    const auto again = personal.keep(content);
    REQUIRE(again);
    CHECK(again->hmac != kept->hmac);
    CHECK(again->id != kept->id);

    // The key in front, then the content: what an outside judge makes of it is in the integration test.
    auto file = *read_file(path);
    REQUIRE(file.size() == 32 + content.size());
    CHECK(equal(View(file).subspan(32), content));
    for (const std::size_t where : {std::size_t{0}, file.size() - 1}) {
        auto other = file;
        other[where] ^= 1;
        REQUIRE(write_file(path, other, 0600));
        CHECK(personal.state(*kept) == ContentState::altered);
    }
    REQUIRE(write_file(path, View(file).first(20), 0600));
    CHECK(personal.state(*kept) == ContentState::altered);
    REQUIRE(write_file(path, file, 0600));
    CHECK(personal.state(*kept) == ContentState::whole);

    // Another name of the same file shows that the octets are gone, not only the name.
    std::filesystem::create_hard_link(path, folder / "link");
    REQUIRE(personal.erase(kept->id));
    CHECK(*read_file(folder / "link") == Bytes(file.size()));
    CHECK(personal.state(*kept) == ContentState::missing);
    CHECK(personal.erase(kept->id));
    CHECK(*personal.files() == std::vector{again->id});
}

TEST_CASE("no name leads out of the folder of contents") {
    const test::Folder folder;
    const PersonalFolder personal(folder / "personal");
    REQUIRE(personal.keep(octets_of("x")));
    REQUIRE(write_file(folder / "victim", octets_of("here")));
    const std::string id(32, 'a');
    for (const auto& bad : {std::string("../victim"), std::string(), id + "/", id.substr(1),
                            id + ".new./../../victim", "A" + id.substr(1), id + ".new"}) {
        const auto done = personal.erase(bad);
        REQUIRE_FALSE(done);
        CHECK(done.error().kind == Error::Kind::usage);
        KeptContent content;
        content.id = bad;
        CHECK(personal.state(content) == ContentState::missing);
    }
    CHECK(std::filesystem::exists(folder / "victim"));
    // What a crash has left half written is told, and can be erased.
    REQUIRE(write_file(personal.dir() + "/" + id + ".new.0123456789ab", octets_of("half")));
    CHECK(personal.files()->size() == 2);
    CHECK(personal.erase(id + ".new.0123456789ab"));
    CHECK(personal.files()->size() == 1);
}

TEST_CASE("a folder that others may look into, or that can't be one, takes no personal data") {
    const test::Folder folder;
    std::filesystem::create_directory(folder / "open");
    REQUIRE(::chmod((folder / "open").c_str(), 0750) == 0);
    auto kept = PersonalFolder(folder / "open").keep(octets_of("x"));
    REQUIRE_FALSE(kept);
    CHECK(kept.error().text.find("chmod 700") != std::string::npos);
    CHECK(std::filesystem::is_empty(folder / "open"));
    REQUIRE(write_file(folder / "file", octets_of("x")));
    kept = PersonalFolder(folder / "file").keep(octets_of("x"));
    REQUIRE_FALSE(kept);
    CHECK(kept.error().kind == Error::Kind::usage);
    CHECK_FALSE(PersonalFolder(folder / "no/parent").keep(octets_of("x")));
    kept = PersonalFolder(folder / "p").keep(Bytes(largest_content + 1));
    REQUIRE_FALSE(kept);
    CHECK(kept.error().kind == Error::Kind::usage);
    CHECK_FALSE(std::filesystem::exists(folder / "p"));
}

TEST_CASE("imports are read from the archive, with what has become of them") {
    const test::Folder folder;
    const PersonalFolder personal(folder / "personal");
    const auto archive = test::fresh_archive(folder / "archive");
    const auto one = an_import(*personal.keep(octets_of("one")));
    auto two = an_import(*personal.keep(octets_of("two")));
    two.kind = "subscription";
    const auto stray = *personal.keep(octets_of("a crash came"));
    for (const auto& import : {one, two}) {
        const auto event = event_of(import);
        CHECK(event.text.find("machine room") == std::string::npos);
        REQUIRE(archive->append(at(noon), event));
    }
    const auto later = at(noon + 1);
    auto seen = look_at_imports(events_in(*archive), &personal, later);
    REQUIRE(seen);
    REQUIRE(seen->imports.size() == 2);
    CHECK(seen->strays == std::vector{stray.id});
    CHECK_FALSE(seen->ok());
    const auto& read = seen->imports[0].import;
    CHECK(read.kind == "room-entry");
    CHECK(read.subject == "machine room");
    CHECK(read.content.id == one.content.id);
    CHECK(read.content.hmac == one.content.hmac);
    CHECK(read.from == one.from);
    CHECK(read.to == one.to);
    CHECK(read.by == "operator 1");
    CHECK(read.at == at(noon));
    CHECK(seen->imports[0].state == "whole");
    CHECK(seen->imports[1].import.kind == "subscription");

    // A year later the one, ten years later the other.
    const auto year = std::chrono::hours(24 * 366);
    seen = look_at_imports(events_in(*archive), nullptr, later + year);
    CHECK(seen->imports[0].past);
    CHECK_FALSE(seen->imports[1].past);
    CHECK(seen->imports[0].state == "not looked at");
    CHECK(seen->ok());
    CHECK(look_at_imports(events_in(*archive), nullptr, later + 10 * year)->imports[1].past);

    // Its erasure comes into the record first.
    REQUIRE(personal.erase(stray.id));
    REQUIRE(
        archive->append(at(noon + 2), event_of(Erasure{one.content.id, "asked for", "operator 2", "root"})));
    seen = look_at_imports(events_in(*archive), &personal, later + year);
    CHECK(seen->imports[0].state == "still there");
    CHECK_FALSE(seen->imports[0].past);
    CHECK_FALSE(seen->ok());
    REQUIRE(personal.erase(one.content.id));
    seen = look_at_imports(events_in(*archive), &personal, later);
    CHECK(seen->imports[0].state == "erased");
    CHECK(seen->imports[0].import.erased == at(noon + 2));
    CHECK(seen->ok());
    CHECK(imports_text(imports_json(*seen)).find("erased (recorded 2026-") != std::string::npos);
    // By hand: no record says so.
    std::filesystem::remove(personal.dir() + "/" + two.content.id);
    seen = look_at_imports(events_in(*archive), &personal, later);
    CHECK(seen->imports[1].state == "missing");
    CHECK_FALSE(seen->ok());
}

TEST_CASE("an event of an import that says what can't be is an error that names it") {
    const test::Folder folder;
    const auto archive = test::fresh_archive(folder / "archive");
    auto event = event_of(an_import({std::string(32, 'a'), 3, {}}));
    event.fields["id"] = std::string("../x");
    REQUIRE(archive->append(at(noon), event));
    const auto read = read_imports(events_in(*archive));
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == Error::Kind::environment);
    CHECK(read.error().text.find("record 0 (import.room-entry)") != std::string::npos);
}
