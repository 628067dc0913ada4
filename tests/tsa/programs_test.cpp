// Whether programs are whole: over real files, a real archive and this process's own memory; only what the
// kernel says of the process is written by the test.
#include "tsa/programs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/file.h"
#include "base/process.h"
#include "pki/hash.h"
#include "tests/support/folder.h"
#include "tests/support/set_mono.h"
#include "tests/support/text.h"
#include "tsa/config.h"
#include "tsa/process_maps.h"
#include "tsa/program_list.h"

using namespace kokuin;
using namespace std::chrono_literals;
using Change = tsa::ProgramChange;
using testing::has;

namespace {

/// A file of two pages, mapped as code.
struct Code {
    static constexpr std::size_t size = 2 * 4096;
    void* at = nullptr;
    explicit Code(const std::string& path) {
        const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        REQUIRE(file >= 0);
        at = ::mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
        ::close(file);
        REQUIRE(at != MAP_FAILED);
    }
    ~Code() { ::munmap(at, size); }
    Code(const Code&) = delete;
    Code& operator=(const Code&) = delete;

    /// What code that somebody has put into this process does.
    void put(std::size_t where, char octet) const {
        REQUIRE(::mprotect(at, size, PROT_READ | PROT_WRITE) == 0);
        static_cast<char*>(at)[where] = octet;
        REQUIRE(::mprotect(at, size, PROT_READ | PROT_EXEC) == 0);
    }
    [[nodiscard]] std::string line(const std::string& path) const {
        char text[64];
        const auto begin = reinterpret_cast<std::uintptr_t>(at);
        // One number for all: devices and inodes tell files apart only within one file system.
        std::snprintf(text, sizeof text, "%lx-%lx r-xp 00000000 fe:00 4711", begin, begin + size);
        return text + std::string("    ") + path + "\n";
    }
};

struct ProgramsPlace {
    const testing::Folder folder;
    const std::string dir = folder.path + "/archive";
    const std::string configuration = folder.path + "/tsad.toml";
    const std::string certificate = folder.path + "/tsu.pem";
    const std::string library = folder.path + "/lib.so";
    const std::string proc = folder.path + "/proc";
    const SystemWallClock wall;
    const SystemMonoClock real;
    const tac::clock::SystemBootClock boot;
    const tac::clock::StampingClock clock{wall, real, boot};
    testing::SetMono mono;
    std::unique_ptr<store::Archive> archive;
    std::optional<tsa::Journal> journal;
    std::vector<std::string> told;  // kinds, by the listener that stands for the hook
    std::optional<Code> code;
    std::optional<tsa::Programs> programs;

    ProgramsPlace() {
        REQUIRE(store::Archive::create(dir, wall.now()));
        auto opened = store::Archive::open(dir);
        REQUIRE(opened);
        archive = std::move(*opened);
        journal.emplace(*archive, clock,
                        [this](WallTime, const store::Event& event) { told.push_back(event.kind); });
        write(configuration, "on_change");
        write(certificate, "a certificate");
        write(library, std::string(5000, 'c'));
        std::filesystem::create_directories(proc + "/task/17");
        traced_by(0);
        code.emplace(library);
        maps();
    }
    static void write(const std::string& path, const std::string& text) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    }
    void maps(const std::string& more = "") const { write(proc + "/maps", code->line(library) + more); }
    void traced_by(int pid) const {
        write(proc + "/task/17/status", "Name:\ttsad\nTracerPid:\t" + std::to_string(pid) + "\nUid:\t0\n");
    }
    void start(bool stop) {
        programs.reset();
        const auto read = read_file(configuration);
        REQUIRE(read);
        tsa::ProgramsSettings settings{10min, stop, {}};
        programs.emplace(tsa::ProgramsParts{mono,
                                            *archive,
                                            *journal,
                                            settings,
                                            {configuration, certificate},
                                            configuration,
                                            to_hex(pki::digest(pki::Hash::sha256, *read)),
                                            proc});
        told.clear();
        REQUIRE(programs->begin());
    }
    /// What is told by one look.
    std::vector<std::string> look() {
        told.clear();
        programs->look();
        return told;
    }
    store::Event last(const char* kind) const {
        const auto found = archive->latest_event(kind, "tsad");
        REQUIRE(found);
        REQUIRE(*found);
        return std::get<store::Event>((*found)->body);
    }
    std::string now() const { return tsa::digest_of(programs->snapshot().now); }
};

using Kinds = std::vector<std::string>;

}  // namespace

TEST_CASE("what the kernel says of executable memory") {
    const auto all = tsa::executable_mappings(
        "55d0c0000000-55d0c0001000 r--p 00000000 fe:00 123      /usr/bin/tsad\n"
        "55d0c0001000-55d0c0003000 r-xp 00001000 fe:00 123      /usr/bin/tsad\n"
        "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n"
        "7f0000002000-7f0000003000 r-xp 0000a000 fe:00 77       /opt/a b\\012c.so (deleted)\n"
        "7f0000004000-7f0000005000 --xp 00000000 00:01 5        /memfd:x (deleted)\n"
        "7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0        [vdso]\n"
        "7ffd00002000-7ffd00003000 rwxp 00000000 00:00 0        [stack]\n"
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n"
        "nonsense\n-  x\n7f0000001000-7f0000000000 r-xp 0 0 0 /turned/round\n"
        "7f0000006000-7f0000007000 r-xp 00000000 fe:00 9        /no/line/end");
    using M = tsa::Mapping;
    CHECK(all ==
          std::vector<M>{
              {0x55d0c0001000, 0x55d0c0003000, 0x1000, "/usr/bin/tsad", false, false, true, "fe:00 123"},
              {0x7f0000000000, 0x7f0000001000, 0, "", false, true, true},
              {0x7f0000002000, 0x7f0000003000, 0xa000, "/opt/a b\nc.so", true, false, true, "fe:00 77"},
              {0x7f0000004000, 0x7f0000005000, 0, "", false, false, false},
              {0x7ffd00002000, 0x7ffd00003000, 0, "", false, true, true},
              {0x7f0000006000, 0x7f0000007000, 0, "/no/line/end", false, false, true, "fe:00 9"},
          });
    // This very process: its program is among them, and what it has in memory is what its file has.
    const auto maps = read_file("/proc/self/maps");
    REQUIRE(maps);
    const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
    bool found = false;
    for (const auto& one : tsa::executable_mappings(as_text(*maps))) {
        if (one.path != self) continue;
        found = true;
        const auto memory = tsa::own_memory(one.begin, one.end);
        REQUIRE(memory);
        const auto file = tsa::read_program_file(self);
        REQUIRE(file);
        const auto size = std::min<std::size_t>(memory->size(), file->size() - one.offset);
        CHECK(equal(View(*memory).first(size), View(*file).subspan(one.offset, size)));
    }
    CHECK(found);
    const auto nothing = tsa::own_memory(0, 4096);
    REQUIRE_FALSE(nothing);
    CHECK(nothing.error().kind == Error::Kind::no);
}

TEST_CASE("who traces a process") {
    CHECK(tsa::tracer_of("Name:\tx\nTracerPid:\t4711\nUid:\t0\n") == 4711);
    CHECK_FALSE(tsa::tracer_of("Name:\tx\nTracerPid:\t0\n"));
    CHECK_FALSE(tsa::tracer_of("TracerPid:"));
    CHECK_FALSE(tsa::tracer_of(""));
}

TEST_CASE("the text of a list is what sha256sum reads, and is read back") {
    const testing::Folder folder;
    tsa::ProgramList list;
    for (const std::string name : {"plain", "with blank", "line\nfeed", "back\\slash", "\\n", "時刻"}) {
        const auto path = folder.path + "/" + name;
        ProgramsPlace::write(path, "content of " + name);
        const auto content = tsa::read_program_file(path);
        REQUIRE(content);
        list[path] = to_hex(pki::digest(pki::Hash::sha256, *content));
    }
    const auto text = tsa::to_text(list);
    CHECK(tsa::program_list(text) == list);
    CHECK(tsa::program_list("") == tsa::ProgramList());
    RunOptions options;
    options.input = text;
    auto judged = run_program({"sha256sum", "--check", "--strict"}, options);
    REQUIRE(judged);
    INFO(judged->out << judged->err);
    CHECK(judged->status == 0);
    // The same the other way round: what sha256sum writes.
    std::vector<std::string> words{"sha256sum"};
    for (const auto& [path, digest] : list) words.push_back(path);
    judged = run_program(words);
    REQUIRE(judged);
    CHECK(judged->out == text);

    const std::string digest(64, 'a');
    for (const std::string& bad :
         {digest + "  /x", digest + " /x\n", digest + "  \n", std::string(64, 'g') + "  /x\n",
          std::string(64, 'A') + "  /x\n", "\\" + digest + "  /x\n", "\\" + digest + "  /\\x\n",
          digest + "  /b\n" + digest + "  /a\n", digest + "  /a\n" + digest + "  /a\n"}) {
        INFO(bad);
        CHECK_FALSE(tsa::program_list(bad));
    }

    using Kind = Change::Kind;
    CHECK(tsa::changes({{"a", "1"}, {"b", "1"}, {"c", "1"}}, {{"b", "1"}, {"c", "2"}, {"d", "1"}}) ==
          std::vector<Change>{{"a", Kind::gone}, {"c", Kind::other}, {"d", Kind::added}});
}

TEST_CASE("a pipe in the place of a program is not waited for") {
    const testing::Folder folder;
    REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
    const auto read = tsa::read_program_file(folder.path + "/pipe");
    REQUIRE_FALSE(read);
    CHECK(has(read.error().text, "no regular file"));
    CHECK_FALSE(tsa::read_program_file(folder.path + "/nothing"));
}

TEST_CASE("a first start records what runs, the same again nothing, another one what is other") {
    ProgramsPlace place;
    place.start(false);
    CHECK(place.told == Kinds{"programs.running"});
    const auto event = place.last("programs.running");
    CHECK(std::get<std::int64_t>(event.fields.at("files")) == 3);
    CHECK(std::get<std::string>(event.fields.at("list")) == place.now());
    REQUIRE(event.blobs.size() == 1);
    const auto blob = place.archive->blob(event.blobs.at(0));
    REQUIRE(blob);
    CHECK(tsa::program_list(as_text(*blob)) == place.programs->snapshot().now);
    CHECK(place.programs->snapshot().now.count(place.library) == 1);
    CHECK(place.look().empty());

    place.start(false);
    CHECK(place.told.empty());

    ProgramsPlace::write(place.certificate, "another certificate");
    place.start(false);
    CHECK(place.told == Kinds{"programs.changed", "programs.running"});
    CHECK(place.last("programs.changed").text ==
          "since the last start: " + place.certificate + ": other content");
    CHECK(place.programs->snapshot().troubles.empty());
    place.start(false);
    CHECK(place.told.empty());
}

TEST_CASE("a file that changes is told once when it does and once when it is as before") {
    ProgramsPlace place;
    place.start(false);
    ProgramsPlace::write(place.certificate, "another certificate");
    CHECK(place.look() == Kinds{"programs.changed"});
    CHECK(has(place.last("programs.changed").text, place.certificate + ": other content"));
    CHECK(place.look().empty());
    CHECK(place.programs->snapshot().troubles.size() == 1);
    CHECK_FALSE(place.programs->obstacle());  // it is only told
    ProgramsPlace::write(place.certificate, "a certificate");
    CHECK(place.look() == Kinds{"programs.settled"});
    CHECK(place.look().empty());

    std::filesystem::remove(place.certificate);
    CHECK(place.look() == Kinds{"programs.changed"});
    CHECK(has(place.last("programs.changed").text, "gone (" + place.certificate));
    ProgramsPlace::write(place.certificate, "a certificate");
    CHECK(place.look() == Kinds{"programs.settled"});
}

TEST_CASE("with stop nothing is stamped from a change on, over a restart too, until it is accepted") {
    ProgramsPlace place;
    place.start(true);
    CHECK(place.told == Kinds{"programs.running"});
    CHECK_FALSE(place.programs->obstacle());
    const auto refused = place.programs->accept(place.now(), {"why", "operator 1", "root"});
    REQUIRE_FALSE(refused);
    CHECK(has(refused.error().text, "nothing to accept"));

    ProgramsPlace::write(place.certificate, "another certificate");
    place.look();
    REQUIRE(place.programs->obstacle());
    CHECK(has(*place.programs->obstacle(), place.certificate));
    place.start(true);
    CHECK(place.told == Kinds{"programs.changed"});
    REQUIRE(place.programs->obstacle());
    place.start(true);
    REQUIRE(place.programs->obstacle());

    // What was looked at is what is accepted.
    const auto looked_at = place.now();
    ProgramsPlace::write(place.certificate, "a third one");
    CHECK_FALSE(place.programs->accept(looked_at, {"why", "operator 1", "root"}));
    place.look();
    place.told.clear();
    REQUIRE(place.programs->accept(place.now(), {"renewed", "operator 1", "root", "abcd", "officer-1"}));
    CHECK(place.told == Kinds{"programs.accepted", "programs.settled"});
    CHECK_FALSE(place.programs->obstacle());
    const auto event = place.last("programs.accepted");
    CHECK(std::get<std::string>(event.fields.at("why")) == "renewed");
    CHECK(std::get<std::string>(event.fields.at("custodians")) == "officer-1");
    CHECK(event.blobs.size() == 1);
    place.start(true);
    CHECK(place.told.empty());
    CHECK_FALSE(place.programs->obstacle());
    // And the one from before is another one now.
    ProgramsPlace::write(place.certificate, "a certificate");
    place.start(true);
    CHECK(place.programs->obstacle());
}

TEST_CASE("a configuration that was another one when it was read stays a trouble") {
    ProgramsPlace place;
    place.start(true);
    ProgramsPlace::write(place.configuration, "stop at nothing");
    tsa::Programs programs({place.mono,
                            *place.archive,
                            *place.journal,
                            {10min, true, {}},
                            {place.configuration, place.certificate},
                            place.configuration,
                            to_hex(pki::digest(pki::Hash::sha256, as_view("stop at nothing"))),
                            place.proc});
    ProgramsPlace::write(place.configuration, "on_change");  // as it was, before anybody looks
    REQUIRE(programs.begin());
    REQUIRE(programs.obstacle());
    programs.look();
    CHECK(programs.obstacle());
}

TEST_CASE("code in memory that isn't its file's is told, whatever becomes of the file") {
    ProgramsPlace place;
    place.start(true);
    place.code->put(4711, 'x');
    CHECK(place.look() == Kinds{"programs.memory"});
    CHECK(
        has(place.last("programs.memory").text, place.library + ": the code in memory isn't what its file"));
    CHECK(place.programs->obstacle());
    CHECK(place.look().empty());
    // No list settles that.
    CHECK_FALSE(place.programs->accept(place.now(), {"why", "operator 1", "root"}));
    place.code->put(4711, 'c');
    CHECK(place.look() == Kinds{"programs.settled"});
    // Past the end of the file too: a page has room there.
    place.code->put(Code::size - 1, 'x');
    CHECK(place.look() == Kinds{"programs.memory"});
    place.code->put(Code::size - 1, '\0');
    CHECK(place.look() == Kinds{"programs.settled"});

    // An upgrade replaces the file; what runs is the old code, whole.
    const auto upgrade = place.library + ".new";
    ProgramsPlace::write(upgrade, std::string(6000, 'd'));
    std::filesystem::rename(upgrade, place.library);
    ProgramsPlace::write(place.proc + "/maps", place.code->line(place.library + " (deleted)"));
    CHECK(place.look() == Kinds{"programs.changed"});
    CHECK(has(place.last("programs.changed").text, "an upgrade?"));
    place.code->put(0, 'x');
    CHECK(place.look() == Kinds{"programs.memory"});
    // A process that began with that can't know what it should have in memory.
    place.code->put(0, 'c');
    place.start(true);
    CHECK(place.told == Kinds{"programs.changed", "programs.memory"});
    CHECK(has(place.last("programs.memory").text, "restart it"));
}

TEST_CASE("code that comes later is told with its digest, and watched from then on") {
    ProgramsPlace place;
    place.start(true);
    const auto later = place.folder.path + "/later.so";
    ProgramsPlace::write(later, std::string(Code::size, 'l'));
    const Code loaded(later);
    place.maps(loaded.line(later) + "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n");
    CHECK(place.look() == Kinds{"programs.joined"});
    const auto event = place.last("programs.joined");
    CHECK(has(event.text, later));
    CHECK(has(event.text, "4096 octets that no file has"));
    const auto list = place.archive->blob(event.blobs.at(0));
    REQUIRE(list);
    CHECK(tsa::program_list(as_text(*list))->size() == 1);
    CHECK(as_text(*list).ends_with(later + "\n"));
    CHECK(place.look().empty());
    CHECK_FALSE(place.programs->obstacle());
    loaded.put(1, 'x');
    CHECK(place.look() == Kinds{"programs.memory"});
    loaded.put(1, 'l');
    CHECK(place.look() == Kinds{"programs.settled"});
    std::ofstream(later, std::ios::app) << 'x';
    CHECK(place.look() == Kinds{"programs.changed"});
    REQUIRE(place.programs->obstacle());
    REQUIRE(place.programs->accept(place.now(), {"why", "operator 1", "root"}));
    CHECK_FALSE(place.programs->obstacle());
}

TEST_CASE("a tracer of one thread is told, and when it is gone") {
    ProgramsPlace place;
    place.start(true);
    place.traced_by(::getpid());
    CHECK(place.look() == Kinds{"programs.traced"});
    CHECK(
        has(place.last("programs.traced").text, "the process " + std::to_string(::getpid()) + " (test_tsa)"));
    CHECK(place.programs->obstacle());
    CHECK(place.look().empty());
    place.traced_by(0);
    CHECK(place.look() == Kinds{"programs.settled"});
    CHECK_FALSE(place.programs->obstacle());
}

TEST_CASE("nothing is stamped when nobody could look for long") {
    ProgramsPlace place;
    place.start(true);
    place.mono.time += 21min;
    CHECK_FALSE(place.programs->obstacle());
    place.mono.time += 2min;
    REQUIRE(place.programs->obstacle());
    CHECK(has(*place.programs->obstacle(), "too long"));
    place.look();
    CHECK_FALSE(place.programs->obstacle());
}

TEST_CASE("no list names a secret") {
    auto settings = tsa::load_settings(std::string(KOKUIN_SOURCE) + "/conf/tsad.toml");
    REQUIRE(settings);
    CHECK_FALSE(settings->programs.stop);
    const auto conf = std::string(KOKUIN_SOURCE) + "/conf/";
    settings->hsms.at(0).pin_file = conf + "tsu.pin";
    settings->hsms.at(0).unattended = {conf + "custody/officer-1"};
    settings->https->certificate = settings->https->key;  // both in one file
    settings->programs.watch = {conf + "tsu.pin", conf + "custody/officer-1.share",
                                conf + "pki/audit-tsu.key", conf + "script"};
    settings->hook = HookSettings{{"env", "/etc/token"}};
    const auto files = tsa::files_of(*settings);
    std::set<std::string> expected{find_program("env"), "/usr/lib/softhsm/libsofthsm2.so",
                                   "/usr/share/zoneinfo/leap-seconds.list"};
    for (const auto* name : {"pki/audit-tsu.pem", "pki/chain.pem", "pki/root.pem", "pki/taa.pem",
                             "pki/tsu.pem", "script", "tsad.toml"})
        expected.insert(conf + name);
    CHECK(std::set<std::string>(files.begin(), files.end()) == expected);
}
