#include "hsm/connection.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace kokuin::hsm {
namespace {

std::string describe(const FoundToken& token) {
    return "token '" + token.label + "' (serial " + token.serial + ")";
}

struct LoginFailure {
    Error error;
    bool refused;
};

// One call of C_Login at most, and none where the token warns that it would be the last.
std::optional<LoginFailure> login(const ModuleCall& call, Module& module, const FoundToken& token,
                                  CK_SESSION_HANDLE session, View pin) {
    const std::string where = describe(token) + ": login";
    if (ModuleInternals::is_refused(module, token.identity()))
        return LoginFailure{
            Error::usage(where + ": not tried, the token has refused the PIN before in this process; "
                                 "correct the PIN and start again"),
            true};
    const CK_FLAGS flags = token.flags;
    if (flags & CKF_USER_PIN_LOCKED)
        return LoginFailure{
            Error::usage(where + ": not tried, the PIN is locked; unlock it with the security "
                                 "officer's PIN and start again"),
            true};
    if (flags & CKF_USER_PIN_FINAL_TRY)
        return LoginFailure{
            Error::usage(where + ": not tried, one more wrong PIN would lock the token; log in once by "
                                 "hand with the right PIN, which resets the counter, and start again"),
            true};
    if (pin.empty() && !(flags & CKF_PROTECTED_AUTHENTICATION_PATH))
        return LoginFailure{Error::usage(where + ": no PIN is given; set it and start again"), true};
    // PKCS#11 takes the PIN as char*, and doesn't change it.
    auto* octets = pin.empty() ? nullptr : const_cast<CK_UTF8CHAR*>(pin.data());
    const CK_RV rv = call->C_Login(session, CKU_USER, octets, pin.size());
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) return std::nullopt;
    Error error = failure(rv, where);
    if (!is_pin_refusal(rv)) return LoginFailure{std::move(error), false};
    ModuleInternals::refuse_token(module, token.identity());
    error.kind = Error::Kind::usage;
    return LoginFailure{std::move(error), true};
}

}  // namespace

Result<std::shared_ptr<Connection>, ConnectFailure> Connection::open(const std::shared_ptr<Module>& module,
                                                                     const TokenOptions& options,
                                                                     const Locator& locator, View pin) {
    const std::uint64_t epoch = module->epoch();
    const auto call = ModuleCall::enter(*module, epoch);
    if (!call)
        return ConnectFailure{
            Error::environment("PKCS#11 module " + module->path() + ": is being initialised anew"), false,
            epoch};
    auto token = locator.find(*call);
    if (!token) return ConnectFailure{std::move(token).error(), false, epoch};
    std::shared_ptr<Connection> made(new Connection(module, epoch, std::move(*token)));
    const std::string where = describe(made->token_);

    for (unsigned i = 0; i < options.sessions; ++i) {
        auto session = Session::open(module, epoch, made->token_.slot, 0);
        if (!session) {
            if (session.error() == CKR_SESSION_COUNT && i > 0) {
                spdlog::warn("hsm event=few-sessions token=\"{}\" wanted={} opened={}", made->token_.label,
                             options.sessions, i);
                break;
            }
            return ConnectFailure{failure(session.error(), where + ": opening a session"), false, epoch};
        }
        made->idle_.push_back(std::move(*session));
    }
    // The login belongs to the token, not to the session: it lasts while any of these sessions is open.
    if (auto no = login(*call, *module, made->token_, made->idle_.front().handle(), pin))
        return ConnectFailure{std::move(no->error), no->refused, epoch};
    const CK_RV rv = made->choose_modes(*call);
    if (rv != CKR_OK) return ConnectFailure{failure(rv, where + ": asking for its mechanisms"), false, epoch};
    return made;
}

Result<bool, CK_RV> Connection::offers(const ModuleCall& call, CK_MECHANISM_TYPE mechanism,
                                       CK_FLAGS use) const {
    CK_MECHANISM_INFO info{};
    const CK_RV rv = call->C_GetMechanismInfo(token_.slot, mechanism, &info);
    if (rv != CKR_OK && is_loss(rv)) return rv;
    return rv == CKR_OK && (info.flags & use);
}

CK_RV Connection::choose_modes(const ModuleCall& call) {
    const auto raw = offers(call, CKM_RSA_PKCS, CKF_SIGN);
    if (!raw) return raw.error();
    const std::array<std::pair<pki::Hash, CK_MECHANISM_TYPE>, 3> combined{
        {{pki::Hash::sha256, CKM_SHA256_RSA_PKCS},
         {pki::Hash::sha384, CKM_SHA384_RSA_PKCS},
         {pki::Hash::sha512, CKM_SHA512_RSA_PKCS}}};
    for (const auto& [hash, mechanism] : combined) {
        const auto offered = offers(call, mechanism, CKF_SIGN);
        if (!offered) return offered.error();
        modes_[static_cast<std::size_t>(hash)] = *offered ? SigningMode::combined
                                                 : *raw   ? SigningMode::raw
                                                          : SigningMode::none;
    }
    return CKR_OK;
}

Connection::Lease::~Lease() {
    if (owner_) owner_->give_back(std::move(*session_));
}

std::optional<Connection::Lease> Connection::borrow(std::chrono::milliseconds wait) {
    std::unique_lock lock(mutex_);
    if (abandoned_) return std::nullopt;
    if (!idle_.empty()) {
        // The one used last: its state is still in the caches.
        Session session = std::move(idle_.back());
        idle_.pop_back();
        lock.unlock();
        return Lease(shared_from_this(), std::move(session));
    }
    if (wait <= std::chrono::milliseconds{0}) return std::nullopt;
    Waiting turn;
    waiting_.push_back(&turn);
    turn.ready.wait_for(lock, wait, [&] { return abandoned_ || turn.session; });
    if (!turn.session) {
        waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &turn));
        return std::nullopt;
    }
    lock.unlock();
    return Lease(shared_from_this(), std::move(*turn.session));
}

void Connection::give_back(Session session) {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
        idle_.push_back(std::move(session));
        return;
    }
    Waiting* first = waiting_.front();
    waiting_.pop_front();
    first->session.emplace(std::move(session));
    first->ready.notify_one();  // under the lock: it is gone as soon as its caller wakes
}

void Connection::abandon() {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    for (Waiting* one : waiting_) one->ready.notify_one();
}

void Connection::log_out() {
    // Any session does: the login is the token's. One that is in use may take this call too (PKCS#11 5.1),
    // but needn't: a fresh one is opened.
    const auto session = Session::open(module_, epoch_, token_.slot, 0);
    const auto call = enter();
    if (session && call) (*call)->C_Logout(session->handle());
}

bool Connection::abandoned() const {
    const std::lock_guard lock(mutex_);
    return abandoned_;
}

std::optional<CK_OBJECT_HANDLE> Connection::handle(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto at = handles_.find(name);
    if (at == handles_.end()) return std::nullopt;
    return at->second;
}

void Connection::forget(const std::string& name) {
    const std::lock_guard lock(mutex_);
    handles_.erase(name);
}

void Connection::remember(const std::string& name, CK_OBJECT_HANDLE handle) {
    const std::lock_guard lock(mutex_);
    handles_[name] = handle;
}

}  // namespace kokuin::hsm
