import { defineConfig } from "vite";

// `npm run dev` serves the page with the running mesh behind it.
const edge = "http://localhost:8080";

export default defineConfig({
  build: { target: "es2023", sourcemap: true },
  server: {
    proxy: {
      "/arenamesh.combat.v1.CombatService": edge,
      "/arenamesh.progression.v1.ProgressionService": edge,
      "/dev": edge,
      "/maps": edge,
      "/rulesets": edge,
    },
  },
});
