// The limits of one NVIDIA card as the decode kernels meet them: see README.md.
//
//   cuda_limits [--quick] [ceilings] [boundaries] [loops] [bits] [host] [step]
//
// Prints a table for each section named (all but `step` without names). --quick: small sizes, one repetition,
// for compute-sanitizer.
#include <cstring>

#include "host.h"

int main(int argc, char** argv) {
  using namespace limits;
  Setup setup;
  std::vector<std::string> sections;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0)
      setup.quick = true;
    else
      sections.push_back(argv[i]);
  }
  const std::vector<std::string> known = {"ceilings", "boundaries", "loops", "bits", "host", "step"};
  for (const std::string& name : sections)
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::fprintf(stderr, "unknown section %s\n", name.c_str());
      return 2;
    }
  auto wanted = [&](const char* name) {
    return sections.empty() ? std::strcmp(name, "step") != 0
                            : std::find(sections.begin(), sections.end(), name) != sections.end();
  };
  cudaDeviceProp device{};
  CUDA_OK(cudaGetDeviceProperties(&device, 0));
  CUDA_OK(cudaStreamCreate(&setup.stream));
  setup.sms = device.multiProcessorCount;
  int driver = 0, runtime = 0;
  CUDA_OK(cudaDriverGetVersion(&driver));
  CUDA_OK(cudaRuntimeGetVersion(&runtime));
  std::printf("%s, %d SMs, L2 %.0f MB, %.1f GB, driver %d, runtime %d, SM clock %.0f MHz\n", device.name,
              setup.sms, device.l2CacheSize / 1048576.0, device.totalGlobalMem / 1e9, driver, runtime,
              SmClockMhz(setup));
  if (wanted("ceilings")) MeasureCeilings(setup);
  if (wanted("boundaries")) MeasureBoundaries(setup);
  if (wanted("loops")) MeasureLoops(setup);
  if (wanted("bits")) MeasureMmaBits(setup);
  if (wanted("host")) MeasureHostCosts(setup);
  if (wanted("step")) MeasureStep(setup);
  std::printf("\nSM clock at the end %.0f MHz\n", SmClockMhz(setup));
  return 0;
}
