// Whether tsad is whole (ARC-9): its files are those that count, its memory is what they hold, and nobody
// traces it.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/ticker.h"
#include "base/time.h"
#include "store/archive.h"
#include "tsa/journal.h"
#include "tsa/process_maps.h"
#include "tsa/program_list.h"
#include "tsa/programs_settings.h"

namespace kokuin::tsa {

/// What it works with; references must outlive it.
struct ProgramsParts {
    const MonoClock& mono;
    const store::Archive& archive;
    Journal& journal;
    ProgramsSettings settings;
    std::vector<std::string> files;      ///< files_of()
    std::string configuration;           ///< path of the configuration; empty: none
    std::string digest;                  ///< SHA-256 of it as it was read, hex
    std::string process = "/proc/self";  ///< proc(5) of this process
};

/// Why a list counts from now on.
struct ProgramsAccepted {
    std::string why;
    std::string by;
    std::string account;
    std::string agreed_in{};   ///< the proposal that custodians agreed to, hex; empty: nobody had to
    std::string custodians{};  ///< they
};

/// Knows which files count: those of the first start, later those of the last start ("alarm"), or those that
/// were accepted ("stop"). Looks at them, at the memory that was mapped from them and at who traces this
/// process, now and then. Each trouble is an event when it begins (kinds "programs.changed",
/// "programs.memory", "programs.traced") and one when it ends ("programs.settled"); with `stop` nothing may
/// be stamped while there is one. A library that comes later is an event ("programs.joined") and no trouble.
/// Events that tell of files have a list (program_list.h) as their blob and its name as the field "list".
///
/// What it can't see: that the kernel, or this very code, says what isn't so. Thread-safe but for begin(),
/// start() and stop().
class Programs {
  public:
    explicit Programs(ProgramsParts parts);
    ~Programs() { stop(); }
    Programs(const Programs&) = delete;
    Programs& operator=(const Programs&) = delete;

    /// Before the first token, and when all that a start maps is mapped: the first look, and the event
    /// "programs.running" if these aren't the files that were recorded last. Error (environment): the archive
    /// can't be read.
    Done begin();
    /// Once the server serves (a start that fails has one line to say, its own): logs what begin() has found.
    /// Then looks on a thread of its own, until stop().
    void start();
    void stop() { ticker_.stop(); }
    /// One look: reads all of it.
    void look();

    /// Why no token may leave now; nothing with `on_change = "alarm"`. Also that nobody has looked for much
    /// longer than `check_every`. For the stamping path.
    [[nodiscard]] std::optional<std::string> obstacle() const;

    /// What the last look saw.
    struct Snapshot {
        ProgramList counts;                        ///< the files as they should be
        ProgramList now;                           ///< as they are
        std::map<std::string, std::string> reads;  ///< files that can't be read, and why
        ProgramList joined;                        ///< libraries that came later
        std::vector<std::string> troubles;         ///< one line each
        WallTime at{};
        nanoseconds took{};
        bool stops = false;  ///< on_change = "stop"
    };
    [[nodiscard]] Snapshot snapshot() const;

    /// Whether these files, by the digest of their list, could be accepted now. Error (no): they are accepted
    /// already, or the files are others now.
    Done acceptable(const std::string& digest);
    /// From now on the files as they are count, if they still are those of this digest. Durably recorded
    /// ("programs.accepted") on return. Error (no) as acceptable(), (environment): the archive.
    Done accept(const std::string& digest, const ProgramsAccepted& by);

  private:
    struct Trouble {
        const char* kind;
        std::string text;
    };
    using Troubles = std::map<std::string, Trouble>;  // by what it is about: it begins and ends with that
    struct Seen;

    void tick();
    Seen read();
    void take(const Seen& seen);
    void judge(const Seen& seen);
    void check_files(const Seen& seen, Troubles& troubles) const;
    void check_pages(const Seen& seen, Troubles& troubles);
    void check_tracers(Troubles& troubles) const;
    void welcome(const Seen& seen);
    void tell(const Troubles& troubles);
    [[nodiscard]] bool nothing_to_accept() const;
    Result<std::optional<ProgramList>> recorded() const;
    static void say(const store::Event& event);
    void note(const char* kind, const std::string& text, const ProgramList* list = nullptr,
              std::map<std::string, store::FieldValue> fields = {});

    const ProgramsParts parts_;
    std::mutex turn_;  // guards what follows
    std::set<std::string> files_;
    ProgramList counts_;
    ProgramList started_;  // as they were at begin(), or were accepted
    ProgramList now_;
    std::map<std::string, std::string> reads_;
    ProgramList joined_;
    std::set<std::uintptr_t> bare_;             // where executable memory begins that has no file
    std::map<std::string, std::string> names_;  // under which each mapping of a file was met first
    std::map<std::string, std::string> pages_;  // what executable memory must hold, by where it is
    Troubles troubles_;
    bool serves_ = false;
    std::vector<store::Event> unsaid_;  // in the log, until it serves

    std::atomic<bool> troubled_{false};
    std::atomic<MonoTime> looked_;
    mutable std::mutex mutex_;
    Snapshot snapshot_;
    Ticker ticker_{parts_.settings.check_every, [this] { tick(); }};
};

}  // namespace kokuin::tsa
