import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** Software Vulkan as Debian's chromium brings it; whoever has a GPU's driver sets the variables, or none. */
const SOFTWARE = '/usr/lib/chromium';
if (existsSync(`${SOFTWARE}/vk_swiftshader_icd.json`)) {
  // Read when a process starts, so that they have to be there before the tests' are.
  process.env.VK_ICD_FILENAMES ??= `${SOFTWARE}/vk_swiftshader_icd.json`;
  process.env.LD_LIBRARY_PATH ??= SOFTWARE;
  process.env.XDG_RUNTIME_DIR ??= '/tmp';
}

export default defineConfig({
  test: { include: ['test/webgpu/**/*.test.ts'], pool: 'forks', testTimeout: 120_000, hookTimeout: 120_000 },
});
