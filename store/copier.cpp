#include "store/copier.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace kokuin::store {
namespace {

constexpr std::chrono::milliseconds copy_again{250};
/// How long a record waits for its copy, at most. A client waits no longer than [http] deadline.
constexpr std::chrono::seconds longest_wait{5};
/// What a start waits for, and an end: milliseconds to a second.
constexpr RecordNumber few = 10'000;

}  // namespace

Copier::Copier(std::string from, CopySettings settings, RecordNumber committed)
    : from_(std::move(from)), settings_(std::move(settings)), committed_(committed) {
    state_.dir = settings_.dir;
    state_.waits = settings_.waits;
}

Result<std::unique_ptr<Copier>> Copier::start(const std::string& from, const CopySettings& settings,
                                              RecordNumber committed) {
    std::unique_ptr<Copier> copier(new Copier(from, settings, committed));
    auto copy = CopyWriter::open(
        from, settings.dir, settings.may_begin ? CopyWriter::Begin::may : CopyWriter::Begin::must_be_there);
    if (!copy && copy.error().kind != Error::Kind::environment) return std::move(copy).error();
    if (copy) {
        copier->copy_ = std::move(*copy);
        copier->was_there_ = true;
        copier->state_.next = copier->copy_->next();
        copier->state_.same_disk = copier->copy_->same_disk();
        if (committed - copier->copy_->next() <= few) {
            if (const auto done = copier->pass(committed); !done) {
                copier->fail(done.error());
            } else {
                copier->state_.kind = CopyState::Kind::ready;
            }
        }
    } else {
        copier->fail(copy.error());
    }
    copier->thread_ = std::thread([raw = copier.get()] { raw->run(); });
    return copier;
}

Copier::~Copier() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    work_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void Copier::committed(RecordNumber committed, std::vector<Told> told) {
    {
        const std::lock_guard lock(mutex_);
        committed_ = committed;
        ++wanted_;
        for (Told& one : told) waiting_.push_back({++tickets_, Clock::now(), std::move(one)});
    }
    work_.notify_one();
}

bool Copier::give_up() {
    std::vector<Told> told;
    Error error = Error::environment("");
    bool others = false;
    {
        const std::lock_guard lock(mutex_);
        const auto now = Clock::now();
        while (!waiting_.empty() && now - waiting_.front().since >= longest_wait) {
            told.push_back(std::move(waiting_.front().told));
            waiting_.pop_front();
        }
        others = !waiting_.empty();
        if (told.empty()) return others;
        error.text = settings_.dir + ": the copy hasn't taken a record for " +
                     std::to_string(longest_wait.count()) + " s: look after its disk";
        state_.kind = CopyState::Kind::failing;
        state_.text = error.text;
    }
    spdlog::error("archive copy failing: {}", error.text);
    for (const Told& one : told) one(error);
    return others;
}

CopyState Copier::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

std::string Copier::trouble() const {
    const std::lock_guard lock(mutex_);
    if (state_.kind == CopyState::Kind::ready) return "";
    if (state_.kind == CopyState::Kind::failing) return "the copy fails: " + state_.text;
    return "the copy in " + settings_.dir + " is behind: it has " + std::to_string(state_.next) + " of " +
           std::to_string(committed_) + " records";
}

void Copier::run() {
    std::unique_lock lock(mutex_);
    std::uint64_t done = wanted_ - 1;  // there is something to look at
    while (true) {
        const auto has_work = [&] { return stop_ || wanted_ != done; };
        if (copy_) {
            work_.wait(lock, has_work);
        } else {
            work_.wait_for(lock, copy_again, [&] { return stop_; });
        }
        if (stop_ && (!copy_ || wanted_ == done)) break;
        const std::uint64_t wanted = wanted_;
        const std::uint64_t ticket = tickets_;
        const RecordNumber limit = committed_;
        lock.unlock();
        const Done passed = pass(limit);
        if (!passed) fail(passed.error());
        lock.lock();
        if (passed) {
            done = wanted;
            if (state_.kind == CopyState::Kind::failing)
                spdlog::info("archive copy recovered dir={}", settings_.dir);
            state_.kind = CopyState::Kind::ready;
            state_.text.clear();
            state_.next = copy_->next();
        }
        std::vector<Told> told;
        // Who has come after the pass began may be lucky; but only what is known is told.
        while (!waiting_.empty() && (!passed || waiting_.front().ticket <= ticket)) {
            told.push_back(std::move(waiting_.front().told));
            waiting_.pop_front();
        }
        lock.unlock();
        const std::optional<Error> error = passed ? std::nullopt : std::optional<Error>(passed.error());
        for (const Told& one : told) one(error);
        told.clear();
        lock.lock();
    }
    // Nobody is left to tell: the archive ends after all that wait have been told, or with these.
    const auto rest = std::exchange(waiting_, {});
    lock.unlock();
    for (const Waiting& one : rest) one.told(Error::environment(settings_.dir + ": the copy is away"));
}

Done Copier::pass(RecordNumber limit) {
    if (!copy_) {
        const bool may_begin = settings_.may_begin && !was_there_;
        auto copy = CopyWriter::open(from_, settings_.dir,
                                     may_begin ? CopyWriter::Begin::may : CopyWriter::Begin::must_be_there);
        if (!copy) return copy.error();
        copy_ = std::move(*copy);
        was_there_ = true;
        const std::lock_guard lock(mutex_);
        state_.same_disk = copy_->same_disk();
    }
    while (true) {
        const auto more = copy_->advance(limit);
        if (!more) return more.error();
        const std::lock_guard lock(mutex_);
        state_.next = copy_->next();
        if (!*more) return {};
        // A long way to go isn't gone when the program stops.
        if (stop_ && waiting_.empty() && limit - copy_->next() > few)
            return Error::environment(settings_.dir + ": the copy isn't up to date yet");
    }
}

void Copier::fail(const Error& error) {
    copy_.reset();
    const std::lock_guard lock(mutex_);
    if (state_.text != error.text) spdlog::error("archive copy failing: {}", error.text);
    state_.kind = CopyState::Kind::failing;
    state_.text = error.text;
}

}  // namespace kokuin::store
