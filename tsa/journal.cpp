#include "tsa/journal.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "base/text.h"

namespace kokuin::tsa {
namespace {

// What the archive takes as one text (store/record.h).
constexpr std::size_t longest_text = 4096;

Done as_environment(Done done) {
    if (done) return done;
    return Error::environment(done.error().text);
}

}  // namespace

bool is_change(const store::Event& event) {
    return event.kind != "refusals" && event.kind != "reference.compared";
}

Done Journal::append(WallTime at, const store::Event& event, const std::vector<store::Blob>& blobs) {
    store::Event fitting = event;
    // Names from a foreign certificate may stand in the text; the event counts more than its spelling.
    fitting.text = one_line(fitting.text, longest_text);
    const auto kept = archive_.append(at, fitting, blobs, store::Archive::Month::stays);
    if (kept) return {};
    spdlog::error("archive: event {} of {} not recorded: {}", event.kind, event.subject, kept.error().text);
    return kept.error();
}

Done Journal::write(const store::Event& event, const std::vector<store::Blob>& blobs) {
    if (auto done = flush(); !done) return done;
    const std::lock_guard order(order_);
    const auto at = clock_.read().wall;
    if (auto done = append(at, event, blobs); !done) return as_environment(std::move(done));
    if (listener_) listener_(at, event);
    return {};
}

Done Journal::keep(store::Event event, std::vector<store::Blob> blobs) {
    const auto mine = std::make_shared<Waiting>(
        Waiting{clock_.read().wall, std::move(event), std::move(blobs), std::nullopt});
    if (listener_) listener_(mine->at, mine->event);
    const bool waits = enqueue(mine);
    auto done = flush();
    if (!waits)
        return Error::environment("no place for this event: the archive has taken nothing for long, and " +
                                  std::to_string(longest_queue) + " events wait for it already");
    // Somebody else may have taken it to the archive, or something else may be what still waits.
    const std::lock_guard order(order_);
    if (mine->outcome) return *mine->outcome;
    return as_environment(std::move(done));
}

void Journal::later(store::Event event) {
    auto made = std::make_shared<Waiting>(Waiting{clock_.read().wall, std::move(event), {}, std::nullopt});
    if (listener_) listener_(made->at, made->event);
    (void)enqueue(std::move(made));
}

bool Journal::enqueue(std::shared_ptr<Waiting> waiting) {
    const std::lock_guard lock(queue_mutex_);
    // An order to stop is acknowledged only when it is there, and must go on trying.
    if (queue_.size() >= longest_queue && waiting->event.kind != "tac.stop") {
        if (lost_++ == 0)
            spdlog::error("archive: {} events wait for it; what comes now is only counted", longest_queue);
        return false;
    }
    queue_.push_back(std::move(waiting));
    return true;
}

Done Journal::flush() {
    const std::lock_guard order(order_);
    while (true) {
        std::shared_ptr<Waiting> next;
        {
            const std::lock_guard lock(queue_mutex_);
            if (queue_.empty() && lost_ == 0) return {};
            if (queue_.empty()) queue_.push_back(about_lost(std::exchange(lost_, 0)));
            next = queue_.front();
        }
        auto done = append(next->at, next->event, next->blobs);
        // What the archive will never take must not stand in the way of the rest; the log has it.
        if (!done && done.error().kind != Error::Kind::usage) return done;
        next->outcome = as_environment(std::move(done));
        const std::lock_guard lock(queue_mutex_);
        queue_.pop_front();
    }
}

std::shared_ptr<Journal::Waiting> Journal::about_lost(std::int64_t count) const {
    store::Event event;
    event.kind = "events.lost";
    event.text = std::to_string(count) + " events found no place while the archive took nothing";
    event.fields["count"] = count;
    return std::make_shared<Waiting>(Waiting{clock_.read().wall, std::move(event), {}, std::nullopt});
}

std::size_t Journal::waiting() const {
    const std::lock_guard lock(queue_mutex_);
    return queue_.size() + static_cast<std::size_t>(lost_);
}

}  // namespace kokuin::tsa
