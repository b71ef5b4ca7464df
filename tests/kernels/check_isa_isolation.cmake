# Run as cmake -DNM=... -DOBJECTS=a.o,b.o -P <this file>.
# Objects of the vector targets may define no weak function: the linker would be free to keep that copy,
# compiled for AVX, for programs that run on any CPU.
string(REPLACE "," ";" OBJECTS "${OBJECTS}")
set(checked 0)
foreach(object ${OBJECTS})
  if(NOT object MATCHES "/avx[^/]*/[^/]*$|/aes_vaes[^/]*$")
    continue()
  endif()
  math(EXPR checked "${checked} + 1")
  execute_process(COMMAND ${NM} -C --defined-only ${object}
                  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]* W [^\n]*" weak "${symbols}")
  if(weak)
    string(APPEND wrong "${object}\n${weak}\n")
  endif()
endforeach()
if(wrong)
  message(FATAL_ERROR "weak functions:\n${wrong}")
endif()
if(checked EQUAL 0)
  message(FATAL_ERROR "no object of a vector target was given")
endif()
