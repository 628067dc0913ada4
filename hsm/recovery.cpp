#include "hsm/recovery.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "hsm/pins.h"

namespace kokuin::hsm {
namespace {

// How long the module may take to return from calls in progress before it is initialised anew.
constexpr milliseconds patience{2000};

}  // namespace

namespace {

std::string name_of(const std::shared_ptr<Connection>& first, const TokenOptions& options) {
    return first ? "token '" + first->token().label + "' (serial " + first->token().serial + ")"
                 : "token '" + options.token + "'";
}

}  // namespace

Recovery::Recovery(std::shared_ptr<Module> module, TokenOptions options, Locator locator,
                   std::shared_ptr<Connection> first, Secret pin, Prepare prepare)
    : module_(std::move(module)),
      options_(std::move(options)),
      locator_(std::move(locator)),
      prepare_(std::move(prepare)),
      name_(name_of(first, options_)),
      current_(std::move(first)) {
    if (current_) pin_ = std::make_shared<const Secret>(std::move(pin));
    if (!current_) {
        phase_ = Phase::locked;
    } else if (!ModuleInternals::begin_work(*module_, current_->epoch())) {
        // Another Token has initialised the module anew this very moment: then this one starts with a
        // recovery.
        phase_ = Phase::lost;
        reason_ = "the module was initialised anew";
        dying_ = std::move(current_);
    }
    thread_ = std::thread([this] { run(); });
}

Recovery::~Recovery() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
    if (phase_ == Phase::working) ModuleInternals::end_work(*module_);
}

Done Recovery::unlock(Secret pin) {
    const std::lock_guard turn(unlocking_);
    {
        const std::lock_guard lock(mutex_);
        if (phase_ == Phase::refused) return Error::usage(why_not().text);
        if (phase_ != Phase::locked) return Error::usage(name_ + ": is unlocked already");
    }
    return open_with(std::make_shared<const Secret>(std::move(pin)));
}

Done Recovery::open_with(std::shared_ptr<const Secret> mine) {
    auto made = connect(*mine);
    const bool refused = !made && made.error().refused;
    {
        const std::lock_guard lock(mutex_);
        if (refused) {
            phase_ = Phase::refused;
            reason_ = made.error().error.text;
        } else {
            pin_ = std::move(mine);
            phase_ = Phase::lost;
            if (made && ModuleInternals::begin_work(*module_, (*made)->epoch())) {
                current_ = std::move(*made);
                phase_ = Phase::working;
                reason_.clear();
            } else {
                reason_ = made ? "the module was initialised anew" : made.error().error.text;
            }
        }
    }
    wake_.notify_all();
    if (refused) tell(TokenEvent::Kind::refused, made.error().error.text);
    if (!made) {
        auto& error = made.error().error;
        // Whatever else it is, it may pass: only the token's own no is final.
        return refused ? error : Error::environment(error.text);
    }
    return {};
}

void Recovery::lock() {
    const std::lock_guard turn(unlocking_);
    std::shared_ptr<Connection> old;
    {
        const std::lock_guard lock(mutex_);
        if (phase_ == Phase::refused || phase_ == Phase::locked) return;
        if (phase_ == Phase::working) ModuleInternals::end_work(*module_);
        phase_ = Phase::locked;
        pin_.reset();
        old = std::move(current_);
        if (dying_) old = std::move(dying_);
    }
    wake_.notify_all();
    if (!old) return;
    old->abandon();
    old->log_out();
}

Done Recovery::change_pins(const PinChange& change) {
    const std::lock_guard turn(unlocking_);
    std::shared_ptr<Connection> old;
    std::shared_ptr<const Secret> before;  // null if it was locked
    {
        const std::lock_guard lock(mutex_);
        if (phase_ == Phase::refused || phase_ == Phase::lost) return Error::no(why_not().text);
        if (phase_ == Phase::working) ModuleInternals::end_work(*module_);
        phase_ = Phase::changing;
        old = std::move(current_);
        before = pin_;
    }
    wake_.notify_all();
    if (old) {
        old->abandon();
        old->log_out();
        // While a session is open nobody logs in as officer. Calls in progress end in milliseconds, or hang.
        const std::weak_ptr<Connection> leaving = old;
        old.reset();
        for (const auto until = std::chrono::steady_clock::now() + patience;
             !leaving.expired() && std::chrono::steady_clock::now() < until;)
            std::this_thread::sleep_for(milliseconds(1));
    }
    const auto failed = set_pins(module_, locator_, change);
    if (failed && !(failed->untouched && before)) {
        const std::lock_guard lock(mutex_);
        phase_ = Phase::locked;
        pin_.reset();
        return failed->untouched ? Error::no(failed->error.text) : failed->error;
    }
    auto opened = open_with(failed ? before : std::make_shared<const Secret>(change.new_user.view()));
    if (failed) return Error::no(failed->error.text);
    // One that can't be reached now comes back by itself with the new PIN.
    return !opened && opened.error().kind == Error::Kind::environment ? Done() : opened;
}

bool Recovery::locked() const {
    const std::lock_guard lock(mutex_);
    return phase_ == Phase::locked;
}

Error Recovery::why_not() const {
    switch (phase_) {
        case Phase::refused:
            return Error::environment(name_ + ": out of use: " + reason_);
        case Phase::locked:
            return Error::environment(name_ +
                                      ": locked: its custodians have to activate it, each with the command "
                                      "'activate'");
        case Phase::changing:
            return Error::environment(name_ + ": its PINs are being set anew; try again");
        case Phase::lost:
        case Phase::working:
            break;
    }
    return Error::environment(name_ + ": lost, coming back by itself once it can: " + reason_);
}

Result<std::shared_ptr<Connection>> Recovery::connection() const {
    const std::lock_guard lock(mutex_);
    if (phase_ == Phase::working) return current_;
    return why_not();
}

void Recovery::lost(const std::shared_ptr<Connection>& connection, const std::string& why) {
    {
        const std::lock_guard lock(mutex_);
        if (phase_ != Phase::working || connection != current_) return;
        phase_ = Phase::lost;
        reason_ = why;
        dying_ = std::move(current_);
        ModuleInternals::end_work(*module_);
    }
    connection->abandon();
    wake_.notify_all();
}

std::string Recovery::state() const {
    const std::lock_guard lock(mutex_);
    return phase_ == Phase::working ? "ready" : why_not().text;
}

std::uint64_t Recovery::recoveries() const {
    const std::lock_guard lock(mutex_);
    return recoveries_;
}

void Recovery::tell(TokenEvent::Kind kind, const std::string& text) const {
    switch (kind) {
        case TokenEvent::Kind::lost:
            spdlog::error("hsm event=lost reason=\"{}\"", text);
            break;
        case TokenEvent::Kind::back:
            spdlog::warn("hsm event=back text=\"{}\"", text);
            break;
        case TokenEvent::Kind::refused:
            spdlog::critical("hsm event=refused reason=\"{}\"", text);
            break;
    }
    if (options_.on_event) options_.on_event({kind, text});
}

void Recovery::run() {
    milliseconds pause{0};
    std::unique_lock lock(mutex_);
    while (!stop_) {
        if (phase_ == Phase::refused || phase_ == Phase::locked || phase_ == Phase::changing) {
            wake_.wait(lock, [this] { return stop_ || phase_ == Phase::working || phase_ == Phase::lost; });
            continue;
        }
        if (phase_ == Phase::working) {
            if (wake_.wait_for(lock, options_.probe_interval,
                               [this] { return stop_ || phase_ != Phase::working; }))
                continue;
            const auto connection = current_;
            lock.unlock();
            probe(connection);
            lock.lock();
            continue;
        }

        // Lost. What worked before is tried again at once; what only opens and then fails again, after a
        // pause.
        if (dying_ && dying_->has_signed) pause = milliseconds{0};
        auto old = std::move(dying_);
        const std::string why = name_ + ": " + reason_;
        lock.unlock();
        tell(TokenEvent::Kind::lost, why);
        // Some tokens have few sessions: the old ones go before new ones are opened.
        old.reset();
        lock.lock();
        const auto since = std::chrono::steady_clock::now();
        while (!stop_ && phase_ == Phase::lost) {
            if (pause > milliseconds{0})
                wake_.wait_for(lock, pause, [this] { return stop_ || phase_ != Phase::lost; });
            if (stop_ || phase_ != Phase::lost) break;
            pause = std::clamp(pause * 2, options_.retry_first, options_.retry_most);
            const auto pin = pin_;
            lock.unlock();
            auto outcome = attempt(*pin);
            lock.lock();
            if (phase_ != Phase::lost) {
                // Locked meanwhile: what has been opened goes, and with its last session the login.
                lock.unlock();
                outcome = ConnectFailure{};
                lock.lock();
                break;
            }
            if (outcome) {
                current_ = std::move(*outcome);
                if (!ModuleInternals::begin_work(*module_, current_->epoch())) {
                    current_.reset();
                    reason_ = "the module was initialised anew";
                    continue;
                }
                phase_ = Phase::working;
                reason_.clear();
                ++recoveries_;
            } else {
                reason_ = outcome.error().error.text;
                if (outcome.error().refused) {
                    phase_ = Phase::refused;
                    pin_.reset();
                }
            }
        }
        if (stop_) break;
        if (phase_ == Phase::locked || phase_ == Phase::changing) continue;
        const bool back = phase_ == Phase::working;
        const std::string text = back ? name_ + ": works again after " +
                                            std::to_string(std::chrono::duration_cast<milliseconds>(
                                                               std::chrono::steady_clock::now() - since)
                                                               .count()) +
                                            " ms"
                                      : name_ + ": " + reason_;
        lock.unlock();
        tell(back ? TokenEvent::Kind::back : TokenEvent::Kind::refused, text);
        lock.lock();
    }
}

Result<std::shared_ptr<Connection>, ConnectFailure> Recovery::connect(const Secret& pin) {
    auto made = Connection::open(module_, options_, locator_, pin.view());
    if (!made) return made;
    if (auto prepared = prepare_(**made); !prepared)
        return ConnectFailure{std::move(prepared).error(), false, (*made)->epoch()};
    return made;
}

Result<std::shared_ptr<Connection>, ConnectFailure> Recovery::attempt(const Secret& pin) {
    auto made = connect(pin);
    if (made || made.error().refused) return made;
    // New sessions are not enough. A module that has lost its device often finds it only when it starts anew.
    const std::uint64_t failed = made.error().epoch;
    if (auto started = ModuleInternals::reinitialise(*module_, failed, patience); !started) {
        // Why the token can't be opened matters more than why the module can't be helped.
        made.error().error.text += "; " + started.error().text;
        return made;
    }
    return connect(pin);
}

void Recovery::probe(const std::shared_ptr<Connection>& connection) {
    const std::string tried = name_ + ": looking after it";
    // A session that is in use shows a loss by itself.
    const auto lease = connection->borrow(milliseconds{0});
    if (!lease) return;
    const auto call = connection->enter();
    if (!call) return lost(connection, tried + ": the module was initialised anew");
    CK_SESSION_INFO info{};
    const CK_RV rv = (*call)->C_GetSessionInfo(lease->session(), &info);
    if (rv != CKR_OK) {
        if (is_loss(rv)) lost(connection, failure(rv, tried).text);
        return;
    }
    if (info.state != CKS_RO_USER_FUNCTIONS && info.state != CKS_RW_USER_FUNCTIONS)
        lost(connection, tried + ": the user has been logged out");
}

}  // namespace kokuin::hsm
