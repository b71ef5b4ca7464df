// What the linker made of the programs: read from their ELF headers.
#include <elf.h>

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace talaria {

namespace {

namespace data = boost::unit_test::data;

/// The dynamic side of one program for this kind of machine.
class Elf {
public:
  explicit Elf(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    BOOST_TEST_REQUIRE(bytes_.size() > sizeof(Elf64_Ehdr), path);
    header_ = at<Elf64_Ehdr>(0);
    for (unsigned i = 0; i < header_.e_phnum; ++i)
      segments_.push_back(at<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr)));
    read_dynamic();
  }

  Elf64_Half type() const { return header_.e_type; }
  const Elf64_Phdr* segment(Elf64_Word type) const {
    for (const auto& segment : segments_)
      if (segment.p_type == type) return &segment;
    return nullptr;
  }
  bool has_flag(Elf64_Sxword tag, Elf64_Xword flag) const {
    for (const auto& entry : dynamic_)
      if (entry.d_tag == tag && (entry.d_un.d_val & flag) != 0) return true;
    return false;
  }
  bool has_tag(Elf64_Sxword tag) const {
    for (const auto& entry : dynamic_)
      if (entry.d_tag == tag) return true;
    return false;
  }
  bool holds(const std::string& text) const { return bytes_.find(text) != std::string::npos; }
  /// Names of symbols that libraries give to it.
  const std::set<std::string>& imports() const { return imports_; }

private:
  template <class T>
  T at(std::size_t offset) const {
    T value;
    BOOST_TEST_REQUIRE(offset + sizeof value <= bytes_.size());
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  std::size_t offset_of(Elf64_Addr address) const {
    for (const auto& segment : segments_)
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
          address < segment.p_vaddr + segment.p_filesz)
        return address - segment.p_vaddr + segment.p_offset;
    BOOST_FAIL("an address that is in no segment");
    return 0;
  }
  void read_dynamic() {
    const Elf64_Phdr* dynamic = segment(PT_DYNAMIC);
    BOOST_TEST_REQUIRE(dynamic != nullptr);
    std::size_t symbols = 0;
    std::size_t names = 0;
    for (std::size_t i = 0; i < dynamic->p_filesz / sizeof(Elf64_Dyn); ++i) {
      dynamic_.push_back(at<Elf64_Dyn>(dynamic->p_offset + i * sizeof(Elf64_Dyn)));
      if (dynamic_.back().d_tag == DT_SYMTAB) symbols = offset_of(dynamic_.back().d_un.d_ptr);
      if (dynamic_.back().d_tag == DT_STRTAB) names = offset_of(dynamic_.back().d_un.d_ptr);
    }
    // The names follow the symbols in what GNU ld writes.
    for (std::size_t at_symbol = symbols; at_symbol + sizeof(Elf64_Sym) <= names;
         at_symbol += sizeof(Elf64_Sym)) {
      const auto symbol = at<Elf64_Sym>(at_symbol);
      if (symbol.st_shndx == SHN_UNDEF) imports_.insert(bytes_.c_str() + names + symbol.st_name);
    }
  }

  std::string bytes_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Dyn> dynamic_;
  std::set<std::string> imports_;
};

const std::string kPrograms[] = {TALARIA_BIN "/talaria", TALARIA_BIN "/talaria-audit",
                                 TALARIA_BIN "/talaria-enclave", TALARIA_BIN "/talaria-worker"};

} // namespace

BOOST_DATA_TEST_CASE(addresses_are_random_and_nothing_that_is_written_is_executed,
                     data::make(kPrograms), program) {
  const Elf elf(program);
  BOOST_TEST(elf.type() == ET_DYN);
  BOOST_TEST(elf.segment(PT_INTERP) != nullptr);
  const Elf64_Phdr* stack = elf.segment(PT_GNU_STACK);
  BOOST_TEST_REQUIRE(stack != nullptr);
  BOOST_TEST((stack->p_flags & PF_X) == 0U);
}

BOOST_DATA_TEST_CASE(tables_of_the_linker_are_complete_and_read_only_when_main_begins,
                     data::make(kPrograms), program) {
  const Elf elf(program);
  BOOST_TEST(elf.segment(PT_GNU_RELRO) != nullptr);
  BOOST_TEST((elf.has_flag(DT_FLAGS, DF_BIND_NOW) || elf.has_flag(DT_FLAGS_1, DF_1_NOW)));
  BOOST_TEST(!elf.has_tag(DT_TEXTREL));
  BOOST_TEST(!elf.has_tag(DT_RPATH));
  BOOST_TEST(!elf.has_tag(DT_RUNPATH));
}

BOOST_DATA_TEST_CASE(the_stack_and_the_c_library_are_watched, data::make(kPrograms), program) {
  const Elf elf(program);
  BOOST_TEST(elf.imports().count("__stack_chk_fail") == 1U);
  bool fortified = false;
  for (const std::string& name : elf.imports())
    fortified = fortified || (name.starts_with("__") && name.ends_with("_chk"));
  BOOST_TEST(fortified);
}

/// Else equal sources would give different packages in different folders.
BOOST_DATA_TEST_CASE(nothing_tells_where_it_was_built, data::make(kPrograms), program) {
  BOOST_TEST(!Elf(program).holds(TALARIA_SOURCE_DIR "/"));
}

} // namespace talaria
