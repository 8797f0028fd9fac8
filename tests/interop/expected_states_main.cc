// Prints what StateTypesJob --case write holds: expected_states KEYS PARALLELISM

#include <cstdlib>
#include <iostream>

#include "tests/integration/state_types.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::cout << flink::testing::ExpectedStates(std::atoi(argv[1]), std::atoi(argv[2])) << std::endl;
  return 0;
}
