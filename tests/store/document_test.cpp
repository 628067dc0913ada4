// docs/archive.md is a promise to strangers: its schema and its commands are tried here.
#include <catch2/catch.hpp>
#include <fstream>

#include "base/file.h"
#include "store/archive.h"
#include "store/segment.h"
#include "tests/store/support.h"

using namespace kokuin;
using namespace kokuin::store;
using namespace kokuin::store::test;

namespace {

/// The fenced blocks of one language, one after the other.
std::string blocks(const std::string& language) {
    std::ifstream file(std::string(KOKUIN_SOURCE_DIR) + "/docs/archive.md");
    REQUIRE(file.good());
    std::string line;
    std::string found;
    bool inside = false;
    while (std::getline(file, line)) {
        if (line == "```") {
            inside = false;
        } else if (line == "```" + language) {
            inside = true;
        } else if (inside) {
            found += line + "\n";
        }
    }
    REQUIRE_FALSE(found.empty());
    return found;
}

}  // namespace

TEST_CASE("the documented schema is the real one") {
    const Folder folder;
    REQUIRE(Archive::create(folder / "a", at(noon)));
    auto database =
        sqlite::Database::open(segment_path(folder / "a", "2026-11"), sqlite::Database::Mode::read);
    REQUIRE(database);
    auto select = database->prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid");
    REQUIRE(select);
    std::string real;
    while (*select->step()) real += select->text(0) + ";\n";
    CHECK(blocks("sql") == real);
}

TEST_CASE("a stranger rebuilds a token with sqlite3 and openssl as documented") {
    if (run("command -v sqlite3 openssl awk python3").code != 0) {
        WARN("sqlite3 or openssl isn't installed: the documented commands were not tried");
        return;
    }
    const Folder folder;
    const std::string dir = folder / "a";
    std::vector<Sample> samples;
    {
        const auto archive = fresh_archive(dir);
        for (std::uint64_t i = 0; i < 4; ++i) {
            Sample made = sample(i, noon + static_cast<std::int64_t>(i));
            if (i == 1) {
                // A serial number whose INTEGER starts with a zero, and no TAC.
                made.issuance.serial = Bytes(20, 0xf1);
                made.issuance.tac.reset();
                made.token = noise(77, 200);
                append(made.token, Bytes{0x02, 21, 0});
                append(made.token, made.issuance.serial);
                append(made.token, common_blobs()[1].content());
                append(made.token, made.issuance.imprint);
                made.issuance.token =
                    split(made.token, made.blobs, made.issuance.imprint, made.issuance.serial);
            }
            REQUIRE(archive->append(at(noon), made.issuance, made.blobs));
            samples.push_back(std::move(made));
        }
        Event event;
        event.kind = "refusals";
        REQUIRE(archive->append(at(noon), event));
        const auto head = archive->head();
        tlog::Note note{tlog::Checkpoint{archive->origin(), head}.text(), {}};
        note.signatures.push_back({archive->origin(), {}, Bytes(64)});
        REQUIRE(archive->add_checkpoint(head, note));
    }
    {
        std::ofstream script(folder / "commands.sh");
        script << "set -eu\n" << blocks("sh");
    }
    for (const Sample& made : samples) {
        const auto ran =
            run("cd " + folder.path() + " && SEGMENT=" + segment_path(dir, "2026-11") + " ARCHIVE=" + dir +
                " SERIAL=" + to_hex(made.issuance.serial) + " sh commands.sh");
        INFO(ran.output);
        CHECK(ran.code == 0);
        CHECK_THAT(ran.output, Catch::Contains("the checkpoint is over these records"));
        const auto token = read_file(folder / "token.der");
        REQUIRE(token);
        CHECK(*token == made.token);
        CHECK(as_text(*read_file(folder / "gapless.txt")) == "1\n");
        CHECK(read_file(folder / "damaged.txt")->empty());
    }
}
