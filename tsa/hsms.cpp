#include "tsa/hsms.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <future>

#include "hsm/commands.h"
#include "hsm/custody/commands.h"
#include "hsm/custody/desk.h"
#include "hsm/custody/records.h"

namespace kokuin::tsa {
namespace {

/// At start, of several.
constexpr seconds waits_for_an_hsm{10};

/// Who holds the token's PINs; nobody where a pin_file does.
Result<hsm::custody::Rosters> custodians(const std::string& archive, const hsm::Settings& hsm) {
    if (!hsm.pin_file.empty()) return hsm::custody::Rosters();
    auto rosters = hsm::custody::read_rosters(archive, hsm.token);
    if (rosters && !rosters->in_force)
        return Error::usage(hsm::table_of(hsm) + " token '" + hsm.token +
                            "': nobody holds its PIN; hold a ceremony (tsactl " +
                            (hsm.name.empty() ? "" : "--hsm " + hsm.name + " ") +
                            "ceremony init), or give a pin_file");
    return rosters;
}

}  // namespace

Result<std::unique_ptr<Hsms>> Hsms::open(HsmsParts parts) {
    std::unique_ptr<Hsms> hsms(new Hsms(parts));
    const auto& settings = parts.settings;
    for (const auto& one : settings.hsms) {
        auto rosters = custodians(settings.archive, one);
        if (!rosters) return std::move(rosters).error();
        const auto told = [&journal = parts.journal, keeper = parts.keeper,
                           label = one.token](const hsm::TokenEvent& event) {
            store::Event record;
            record.kind = event.kind == hsm::TokenEvent::Kind::back ? "hsm.back" : "hsm.lost";
            record.subject = label;
            // A PIN that the token calls wrong must not be tried again after a restart.
            if (event.kind == hsm::TokenEvent::Kind::refused && keeper) keeper->forget(label);
            record.text = event.text;
            journal.later(std::move(record));
        };
        // Of several none is asked before the others serve.
        auto token = settings.hsms.size() > 1 ? hsm::open_locked_token(one, hsms->modules_, told)
                                              : hsm::open_token(one, told);
        if (!token) return std::move(token).error();
        hsms->all_.push_back(std::make_unique<Hsm>(one, std::move(*token), std::move(*rosters)));
    }
    return hsms;
}

void Hsms::seat_custodians(const Tsus& tsus) {
    tsus_ = &tsus;
    const auto record = [&journal = parts_.journal](const store::Event& event,
                                                    const std::vector<store::Blob>& blobs) {
        return journal.write(event, blobs);
    };
    for (const auto& each : all_) {
        auto& one = *each;
        if (!one.rosters_.in_force) continue;
        const auto keeper = parts_.keeper;
        const auto label = one.settings().token;
        const auto opened = [this, &one, &tsus](const Done& done) {
            if (done) look_after_keys(one, tsus);
        };
        one.custody_.emplace(
            std::move(*one.rosters_.in_force),
            hsm::custody::Activation::Parts{"tsad", parts_.settings.digest,
                                            [&one, opened, keeper, label](const Secret& pin) {
                                                auto done = one.token().unlock(Secret(pin.view()));
                                                opened(done);
                                                hsm::custody::tell_keeper(keeper, label, done, pin);
                                                return done;
                                            },
                                            [&one, keeper, label] {
                                                // First: a token that hangs may not come back from the other.
                                                if (keeper) keeper->forget(label);
                                                one.token().lock();
                                            },
                                            record,
                                            [&one, opened, keeper, label](const hsm::PinChange& change) {
                                                auto done = one.token().change_pins(change);
                                                opened(done);
                                                hsm::custody::tell_keeper(keeper, label, done, change);
                                                return done;
                                            }},
            std::move(one.rosters_.next));
        one.approvals_.emplace(
            [&one] { return one.custody_->roster(); },
            hsm::custody::Approvals::Parts{"tsad", parts_.settings.digest, parts_.mono, record});
    }
}

void Hsms::look_after_keys(Hsm& of, const Tsus& tsus) {
    auto& token = of.token();
    for (const auto& tsu : *tsus.signing()) {
        if (&tsu->token() != &token || tsu->idle()) continue;  // an idle one's key may be gone
        auto key = token.find_key(tsu->key().label());
        if (key && key->spki() != tsu->key().spki())
            key =
                Error::no("the key '" + tsu->key().label() + "' in the HSM isn't the one of its certificate");
        auto done =
            key ? token.store_certificate(key->label(), key->id(), tsu->certificate().der()) : key.error();
        if (done) continue;
        spdlog::error("tsu={} text=\"{}; it signs nothing until that is mended\"", tsu->name(),
                      done.error().text);
        store::Event event;
        event.kind = "key.missing";
        event.subject = tsu->name();
        event.text = done.error().text;
        (void)parts_.journal.keep(std::move(event));
    }
}

Done Hsms::open_at_start(Hsm& one) {
    if (auto* custody = one.custody())
        return hsm::custody::open_at_start(*custody, parts_.keeper, parts_.settings.archive,
                                           one.settings().unattended);
    if (!one.token().locked()) return {};
    auto pin = read_secret_file(one.settings().pin_file);
    if (!pin) return std::move(pin).error();
    auto done = one.token().unlock(std::move(*pin));
    if (done) look_after_keys(one, *tsus_);
    if (done || done.error().kind == Error::Kind::usage) return done;
    spdlog::error("hsm text=\"{}; what needs it waits until it is back\"", done.error().text);
    return {};
}

Done Hsms::open_at_start() {
    if (all_.size() == 1) {
        auto done = open_at_start(*all_.front());
        if (parts_.keeper && done) parts_.keeper->forget_the_rest();
        return done;
    }
    std::vector<std::pair<Hsm*, std::future<Done>>> outcomes;
    for (const auto& one : all_) {
        std::packaged_task<Done()> task([this, &one = *one] {
            auto done = open_at_start(one);
            if (!done) spdlog::error("hsm token=\"{}\" text=\"{}\"", one.settings().token, done.error().text);
            return done;
        });
        outcomes.emplace_back(one.get(), task.get_future());
        opening_.emplace_back(std::move(task));
    }
    const auto until = std::chrono::steady_clock::now() + waits_for_an_hsm;
    Done outcome;
    bool any = false;
    for (auto& [one, future] : outcomes) {
        if (future.wait_until(until) != std::future_status::ready) {
            spdlog::error(
                "hsm token=\"{}\" text=\"doesn't answer; the others serve, and what needs it waits\"",
                one->settings().token);
            continue;
        }
        auto done = future.get();
        any = any || done;
        if (!done && outcome) outcome = std::move(done);
    }
    // One that refuses its PIN, or whose shares don't open, takes none of the others down either.
    if (any) outcome = Done();
    if (parts_.keeper && outcome) parts_.keeper->forget_the_rest();
    return outcome;
}

void Hsms::wait() {
    for (auto& one : opening_) one.join();
    opening_.clear();
}

Hsms::~Hsms() {
    wait();
}

void Hsms::say_if_locked() const {
    for (const auto& one : all_)
        if (const auto* custody = one->custody()) hsm::custody::say_if_locked(*custody);
}

void Hsms::add_custody_routes(net::Router& router) {
    for (const auto& one : all_)
        if (auto* custody = one->custody())
            hsm::custody::add_custody_routes(router, hsm::custody::custody_path(one->settings()), "tsad",
                                             *custody, *one->approvals());
}

Hsm* Hsms::find(const std::string& name) const {
    for (const auto& one : all_)
        if (one->settings().name == (name == "hsm" ? "" : name)) return one.get();
    return nullptr;
}

Result<Hsm*> Hsms::of(const KeyEntry& key) const {
    if (key.token.empty()) return all_.front().get();
    for (const auto& one : all_)
        if (one->settings().token == key.token) return one.get();
    return Error::usage("the key '" + key.label + "' is in the token '" + key.token +
                        "', which the configuration doesn't name any more; give it an [hsm.NAME] table "
                        "again, or name another "
                        "key");
}

Result<Hsm*> Hsms::holder(const std::string& label) const {
    std::optional<Error> first;
    std::optional<Error> away;
    for (const auto& one : all_) {
        const auto key = one->token().available()
                             ? one->token().find_key(label)
                             : Result<hsm::Key>(Error::environment("hsm: " + one->token().state()));
        if (key) return one.get();
        auto& kept = key.error().kind == Error::Kind::environment ? away : first;
        if (!kept) kept = key.error();
    }
    return away ? *away : *first;
}

unsigned Hsms::sessions() const {
    unsigned sum = 0;
    for (const auto& one : all_) sum += one->settings().sessions;
    return sum;
}

}  // namespace kokuin::tsa
