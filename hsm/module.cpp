#include "hsm/module.h"

#include <p11-kit/p11-kit.h>

#include <filesystem>
#include <utility>

#include "hsm/call.h"

namespace kokuin::hsm {
namespace {

// p11-kit's loader is used without its management layer (P11_KIT_MODULE_UNMANAGED): that one counts
// initialisations and keeps the module alive for other users, while our recovery needs C_Finalize to happen
// when it is called.
CK_RV initialise(CK_FUNCTION_LIST* functions, const std::string& parameters) {
    // NSS's own definition of the structure has one more pointer where there are parameters; it must be null.
    struct {
        CK_C_INITIALIZE_ARGS arguments;
        void* none;
    } given{};
    given.arguments.flags = CKF_OS_LOCKING_OK;
    // PKCS#11 has no const; a module reads them.
    if (!parameters.empty()) given.arguments.pReserved = const_cast<char*>(parameters.c_str());
    return functions->C_Initialize(&given.arguments);
}

bool is_p11_kit_client(const std::string& path) {
    std::error_code failed;
    const auto real = std::filesystem::canonical(path, failed);
    return (failed ? std::filesystem::path(path) : real).filename().string().rfind("p11-kit-client.", 0) == 0;
}

}  // namespace

Module::Module(std::string path, std::string parameters, std::unique_ptr<State> state)
    : path_(std::move(path)), parameters_(std::move(parameters)), state_(std::move(state)) {}

Module::~Module() {
    if (state_->initialised) state_->functions->C_Finalize(nullptr);
    p11_kit_module_release(state_->functions);
}

Result<std::shared_ptr<Module>> Module::load(const std::string& path, const std::string& parameters) {
    if (path.empty()) return Error::usage("no PKCS#11 module is named; give the path of the HSM's library");
    p11_kit_be_quiet();  // what it would print on stderr is in p11_kit_message()
    CK_FUNCTION_LIST* functions = p11_kit_module_load(path.c_str(), P11_KIT_MODULE_UNMANAGED);
    if (!functions) {
        const char* why = p11_kit_message();
        std::string text = "PKCS#11 module " + path + ": can't be loaded: " + (why ? why : "unknown reason");
        for (char& c : text)
            if (c == '\n') c = ' ';
        return Error::usage(text + "; install the HSM's library or correct the path");
    }
    auto state = std::make_unique<State>();
    state->functions = functions;
    state->one_at_a_time = is_p11_kit_client(path);
    // From here the destructor releases the library.
    std::shared_ptr<Module> module(new Module(path, parameters, std::move(state)));
    const CK_RV rv = initialise(functions, parameters);
    if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
        return Error::usage("PKCS#11 module " + path +
                            ": is in use already in this process; its users must share one Module");
    if (rv == CKR_ARGUMENTS_BAD)
        return Error::usage("PKCS#11 module " + path + ": C_Initialize: " + name_of(rv) +
                            (parameters.empty()
                                 ? "; where its documentation asks for parameters, write them into [hsm] "
                                   "module_parameters"
                                 : "; it doesn't take the [hsm] module_parameters: correct them, or leave "
                                   "them out"));
    if (rv != CKR_OK) return failure(rv, "PKCS#11 module " + path + ": C_Initialize");
    module->state_->initialised = true;
    return module;
}

std::uint64_t Module::epoch() const {
    const std::lock_guard lock(state_->mutex);
    return state_->epoch;
}

Done ModuleInternals::reinitialise(Module& module, std::uint64_t failed_epoch,
                                   std::chrono::milliseconds patience) {
    Module::State& state = of(module);
    std::unique_lock lock(state.mutex);
    if (state.epoch != failed_epoch) return {};
    const std::string where = "PKCS#11 module " + module.path_ + ": can't be initialised anew: ";
    if (state.shut) return Error::environment(where + "that is being done already");
    if (state.working > 0) return Error::environment(where + "another token of it is at work");
    state.shut = true;
    if (!state.left.wait_for(lock, patience, [&state] { return state.in_progress == 0; })) {
        state.shut = false;
        return Error::environment(where + std::to_string(state.in_progress) +
                                  " calls have not returned; if they never do, start this program again");
    }
    state.initialised = false;
    lock.unlock();
    // Whatever it answers: a module whose last C_Initialize failed halfway may need it, one that isn't
    // initialised says so.
    state.functions->C_Finalize(nullptr);
    const CK_RV rv = initialise(state.functions, module.parameters_);
    lock.lock();
    ++state.epoch;
    state.initialised = rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
    state.shut = false;
    if (!state.initialised) return failure(rv, "PKCS#11 module " + module.path_ + ": C_Initialize");
    return {};
}

bool ModuleInternals::begin_work(Module& module, std::uint64_t epoch) {
    Module::State& state = of(module);
    const std::lock_guard lock(state.mutex);
    if (state.shut || state.epoch != epoch) return false;
    ++state.working;
    return true;
}

void ModuleInternals::end_work(Module& module) {
    Module::State& state = of(module);
    const std::lock_guard lock(state.mutex);
    --state.working;
}

void ModuleInternals::refuse_token(Module& module, const std::string& identity) {
    Module::State& state = of(module);
    const std::lock_guard lock(state.mutex);
    state.refused_tokens.insert(identity);
}

bool ModuleInternals::is_refused(Module& module, const std::string& identity) {
    Module::State& state = of(module);
    const std::lock_guard lock(state.mutex);
    return state.refused_tokens.count(identity) > 0;
}

Result<std::shared_ptr<Module>> Modules::get(const std::string& path, const std::string& parameters) {
    // Two names of one file are one module; a bare name is p11-kit's to resolve.
    std::error_code failed;
    std::string key = path;
    if (path.find('/') != std::string::npos) {
        const auto real = std::filesystem::canonical(path, failed);
        if (!failed) key = real.string();
    }
    const std::lock_guard lock(mutex_);
    std::weak_ptr<Module>& known = by_path_[key];
    if (auto module = known.lock()) {
        if (module->parameters() == parameters) return module;
        return Error::usage("PKCS#11 module " + path +
                            ": is in use already in this process, with other parameters; its users must "
                            "give the same");
    }
    auto loaded = Module::load(path, parameters);
    if (loaded) known = *loaded;
    return loaded;
}

}  // namespace kokuin::hsm
