// Makes the report of a month as soon as the month is over, while taad serves.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "store/archive.h"
#include "taa/monthly_report.h"

namespace kokuin::taa {

/// Sees that the archive keeps a report of the last month for each TSA, and that its files lie in the folder.
/// Months before that are for `taad report`. Trouble is logged and tried again; it never touches an audit.
class MonthlyDesk {
  public:
    /// `archive_dir`: where `archive` is, for a reader. `archive` and `wall` outlive the desk.
    MonthlyDesk(std::string archive_dir, std::string reports_dir, std::vector<ConfiguredTsu> tsus,
                store::Archive& archive, const WallClock& wall);
    /// Stops, if that wasn't done.
    ~MonthlyDesk();
    MonthlyDesk(const MonthlyDesk&) = delete;
    MonthlyDesk& operator=(const MonthlyDesk&) = delete;

    /// Begins a thread that looks now and whenever a month is over. To be called once.
    void start();
    /// Waits for what it is at. Idempotent.
    void stop();

    /// What the thread does: makes what is missing of the last month that is over. Done too if there was
    /// nothing to report. For one thread at a time.
    Done look();

  private:
    void work();

    const std::string archive_dir_;
    const std::string reports_dir_;
    const std::vector<ConfiguredTsu> tsus_;
    store::Archive& archive_;
    const WallClock& wall_;
    std::optional<Month> settled_;  // nothing is missing of this month
    std::thread thread_;
    std::mutex mutex_;  // guards stopping_
    std::condition_variable changed_;
    bool stopping_ = false;
};

}  // namespace kokuin::taa
