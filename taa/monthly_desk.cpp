#include "taa/monthly_desk.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "taa/monthly_files.h"

namespace kokuin::taa {
namespace {

// The end of a month is by the wall clock, which may be set meanwhile; and trouble may have passed.
constexpr nanoseconds longest_wait = std::chrono::hours(1);

}  // namespace

MonthlyDesk::MonthlyDesk(std::string archive_dir, std::string reports_dir, std::vector<ConfiguredTsu> tsus,
                         store::Archive& archive, const WallClock& wall)
    : archive_dir_(std::move(archive_dir)),
      reports_dir_(std::move(reports_dir)),
      tsus_(std::move(tsus)),
      archive_(archive),
      wall_(wall) {}

MonthlyDesk::~MonthlyDesk() {
    stop();
}

void MonthlyDesk::start() {
    thread_ = std::thread([this] { work(); });
}

void MonthlyDesk::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

Done MonthlyDesk::look() {
    const WallTime now = wall_.now();
    const Month month = Month::of(now - month_settles).previous();
    if (settled_ == month) return {};
    auto reader = store::ArchiveReader::open(archive_dir_);
    if (!reader) return std::move(reader).error();
    const auto reports = collect(**reader, tsus_, month, now);
    if (!reports && reports.error().kind != Error::Kind::no) return reports.error();
    if (reports) {
        for (const auto& report : *reports) {
            auto files = kept_report(**reader, report);
            if (!files) return std::move(files).error();
            if (!*files) {
                *files = render(report);
                const auto number = keep(archive_, now, **files);
                if (!number) return number.error();
                spdlog::info("report month={} tsa=\"{}\" time_faults={} record={}", month.text(), report.tsa,
                             report.time_faults(), *number);
            }
            const auto written = write_reports(**files, reports_dir_);
            if (!written) return written.error();
        }
    }
    settled_ = month;
    return {};
}

void MonthlyDesk::work() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        lock.unlock();
        Done done;
        try {
            done = look();
        } catch (const std::exception& fault) {
            done = Error::environment(std::string("fault: ") + fault.what());
        }
        if (!done) spdlog::error("report text=\"{}; tried again within the hour\"", done.error().text);
        const WallTime now = wall_.now();
        const nanoseconds wait = Month::of(now - month_settles).end() + month_settles - now;
        lock.lock();
        changed_.wait_for(lock, std::min(wait, longest_wait), [this] { return stopping_; });
    }
}

}  // namespace kokuin::taa
