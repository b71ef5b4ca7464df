#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"
#include "settings/origin.hpp"

namespace talaria::settings {

/// Of a whole number, both ends included.
struct Bounds {
  u64 low = 0;
  u64 high = 0;
};

/// How a kind of value is read, written and described (settings/forms.hpp).
template <class T>
struct Form {
  std::string type;  ///< "whole number"
  std::string range; ///< "1 to 64"; empty: the type says it all
  /// Complains about a value that is not accepted, and leaves `out` as it was then. Relative paths
  /// are relative to `folder`.
  std::function<void(const config::Value&, const std::filesystem::path& folder, T& out)> read;
  /// As it would stand in a file; empty: not set.
  std::function<std::string(const T&)> show;
  bool is_list = false;                        ///< variables and flags give it as "a,b,c"
  std::optional<Bounds> bounds = std::nullopt; ///< of a whole number
};

/// Which commands take a flag (cli/engine_flags.hpp).
enum class FlagGroup {
  none,
  model,  ///< --model: whoever may do without a file
  pin,    ///< --model-sha256, --task: every command that reads a model
  engine, ///< whoever makes an engine
  scheme, ///< the same, unless the command compares schemes itself
  serve,  ///< whoever listens
};

/// What reading a value needs besides the value.
struct Reading {
  const std::filesystem::path& folder; ///< what relative paths are relative to
  Origins& origins;
};

/// One row of a table: a setting of a pipeline.yaml (Target: PipelineConfig), or of an entry of its
/// `workers:` (Target: WorkerNode).
template <class Target>
struct SettingOf {
  std::string_view key; ///< dotted, "masking.pool.memory"; of an entry its own key, "name"
  std::string meaning;  ///< one line
  std::string type;
  std::string range;
  std::string standard; ///< its default, as it would stand in a file; empty: none
  const char* variable = nullptr;
  const char* flag = nullptr;
  FlagGroup group = FlagGroup::none;
  const char* switched_on = nullptr; ///< the flag takes no value and means this one
  bool is_required = false;          ///< wherever its section stands
  bool is_in_file = true;            ///< false: only variable and flag
  bool is_list = false;
  bool is_reloaded = false;     ///< a running gateway takes it from a changed file
  std::optional<Bounds> bounds; ///< of a whole number
  /// Reads into `target`; see Form::read.
  std::function<void(const config::Value&, const Reading&, Target& target)> read;
  /// The value, as it would stand in a file; empty: not set.
  std::function<std::string(const Target&)> show;
  /// Gives `to` the value that `from` has.
  std::function<void(Target& to, const Target& from)> copy;

  SettingOf from_variable(const char* name) && {
    variable = name;
    return std::move(*this);
  }
  SettingOf from_flag(const char* name, FlagGroup takers) && {
    flag = name;
    group = takers;
    return std::move(*this);
  }
  SettingOf from_switch(const char* name, FlagGroup takers, const char* value) && {
    switched_on = value;
    return std::move(*this).from_flag(name, takers);
  }
  SettingOf required() && {
    is_required = true;
    return std::move(*this);
  }
  SettingOf reloaded() && {
    is_reloaded = true;
    return std::move(*this);
  }
  /// For a default that depends on other things.
  SettingOf by_default(std::string text) && {
    standard = std::move(text);
    return std::move(*this);
  }
  SettingOf not_in_file() && {
    is_in_file = false;
    return std::move(*this);
  }
};

using Setting = SettingOf<config::PipelineConfig>;
using WorkerSetting = SettingOf<config::WorkerNode>;

/// Finds a value in a target.
template <class Target, class T>
using At = std::function<T&(Target&)>;

/// A row: its key, kind, place, and what it means. The default is that of a new target.
template <class Target, class T>
SettingOf<Target> row(std::string_view key, Form<T> form, At<Target, T> at, std::string meaning) {
  SettingOf<Target> setting;
  setting.key = key;
  setting.meaning = std::move(meaning);
  setting.type = std::move(form.type);
  setting.range = std::move(form.range);
  setting.is_list = form.is_list;
  setting.bounds = form.bounds;
  setting.read = [at, read = std::move(form.read)](const config::Value& value,
                                                   const Reading& reading, Target& target) {
    read(value, reading.folder, at(target));
  };
  setting.show = [at, show = std::move(form.show)](const Target& target) {
    Target copy = target; // `at` may make a section that is not there
    return show(at(copy));
  };
  setting.copy = [at](Target& to, const Target& from) {
    Target copy = from; // likewise
    at(to) = at(copy);
  };
  setting.standard = setting.show(Target());
  return setting;
}

// The value of a member, for row().
template <class Target, class A>
At<Target, A> member(A Target::*a) {
  return [a](Target& target) -> A& { return target.*a; };
}
template <class Target, class A, class B>
At<Target, B> member(A Target::*a, B A::*b) {
  return [a, b](Target& target) -> B& { return (target.*a).*b; };
}
template <class Target, class A, class B, class C>
At<Target, C> member(A Target::*a, B A::*b, C B::*c) {
  return [a, b, c](Target& target) -> C& { return ((target.*a).*b).*c; };
}
/// The same in a section that need not be there; it is made when somebody asks for its value.
template <class Target, class A, class B>
At<Target, B> member(std::optional<A> Target::*a, B A::*b) {
  return [a, b](Target& target) -> B& {
    if (!(target.*a)) (target.*a).emplace();
    return (*(target.*a)).*b;
  };
}

} // namespace talaria::settings
