// Audits every TSU when it is due.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "taa/timetable.h"

namespace kokuin::taa {

/// One thread a TSU, so that one that hangs delays no other. Between audits the threads sleep on a condition
/// variable until the next one is due, asked for, or all is over; nothing polls. What is due while another
/// one has only just begun waits its turn (Pace::start_spacing), the first due first.
class Scheduler {
  public:
    /// Makes one audit of the TSU of this name. Called from the TSU's own thread, never twice at once for one
    /// TSU; must not throw. `requested`: the TSU asked for it (TAC-9).
    using Audit = std::function<Ending(const std::string& tsu, bool requested)>;
    /// A number in [0, 1) (Timetable::end). Called from any of the threads.
    using Dice = std::function<double()>;

    /// Nothing runs yet; `clock` outlives the scheduler.
    Scheduler(const Pace& pace, const std::vector<std::string>& tsus, const MonoClock& clock, Audit audit,
              Dice dice);
    /// Stops, if that wasn't done.
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    /// Begins; every TSU is audited at once, one after the other. To be called once.
    void start();
    /// Begins no further audit and waits for those that run. Idempotent.
    void stop();

    /// A TSU asks for an audit (TAC-9); nothing if there is no TSU of that name. From any thread.
    std::optional<Timetable::Answer> request(const std::string& tsu);
    /// Its next audit begins as soon as it can (Timetable::bring_forward); from any thread.
    void bring_forward(const std::string& tsu, bool spaced = false);
    /// Looks at the clock again: for clocks that jump, that is, those of tests. From any thread.
    void look_again();

  private:
    struct Row {
        Timetable timetable;
        std::thread thread;
    };
    void work(const std::string& tsu, Timetable& timetable);

    const MonoClock& clock_;
    const nanoseconds start_spacing_;
    const Audit audit_;
    const Dice dice_;
    std::mutex mutex_;  // guards all that follows
    std::condition_variable changed_;
    std::map<std::string, Row> rows_;
    MonoTime next_start_{};  // the first turn that nobody has
    bool stopping_ = false;
};

}  // namespace kokuin::taa
