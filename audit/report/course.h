// How things went: when the server ran, its gates were open, its HSMs and custodians there. Pure; for one
// thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "audit/report/facts.h"
#include "store/reader.h"

namespace kokuin::audit::report {

/// Fed with all events of an archive in the order of their numbers: what a month begins with was said before
/// it.
class Course {
  public:
    /// When the record that is the last sign of a server that ended without a word was written; asked with
    /// the number of the record at which it started again.
    using LastSign =
        std::function<std::optional<std::pair<store::RecordNumber, WallTime>>(store::RecordNumber)>;

    /// `tsu`: gates of this one alone; empty: of all.
    Course(Month month, std::string tsu, LastSign last_sign)
        : month_(month), tsu_(std::move(tsu)), last_sign_(std::move(last_sign)) {}

    void add(store::RecordNumber number, WallTime at, const store::Event& event);
    /// To be called once: puts outages and availability of [from, until) into the report.
    void finish(WallTime from, WallTime until, Report& report);

    /// That outages and availability follow from events of this kind, so that nobody knows them where some
    /// were removed.
    static bool follows_from(const std::string& kind);
    /// That only a server that runs writes events of this kind.
    static bool is_sign_of_life(const std::string& kind);

  private:
    using Key = std::pair<std::string, std::string>;  // what, subject
    struct Interval {
        WallTime from{};
        WallTime to{};
    };
    struct Gate {
        std::optional<WallTime> open_since{};
        std::vector<Interval> open;  // that reach into the month
    };

    void server(store::RecordNumber number, WallTime at, const store::Event& event);
    void custody(store::RecordNumber number, WallTime at, const store::Event& event);
    void gate(WallTime at, const store::Event& event);
    /// Ends all that is only known of a server that runs.
    void down(WallTime at);
    void begin(const std::string& what, const std::string& subject, WallTime at, std::string cause,
               std::string text, bool recorded = true);
    void end(const std::string& what, const std::string& subject, WallTime at);
    void shut(Gate& gate, WallTime at);

    const Month month_;
    const std::string tsu_;
    const LastSign last_sign_;
    bool running_ = false;
    store::RecordNumber down_at_ = -1;  // the last record of the server's last life
    std::optional<WallTime> first_up_;
    WallTime up_since_{};
    std::map<std::string, store::RecordNumber> activated_;  // tokens, by custodians; -1: locked
    std::map<std::string, std::string> token_of_;           // by TSU
    std::map<Key, Outage> lasting_;
    std::vector<Outage> over_;
    std::map<Key, Gate> gates_;  // by TSU and policies
};

}  // namespace kokuin::audit::report
