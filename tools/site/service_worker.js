// Keeps the site for the time without a network. files.js, which is written when the site is built, says its
// VERSION and the FILES that are loaded at once; worker.js puts those of models into the same store.

importScripts("files.js");
const NAMES = new URL("dood-", self.location).href; // how the stores of this folder begin
const STORE = new URL(VERSION, self.location).href;

self.addEventListener("install", (event) => {
  const load = async () => {
    const store = await caches.open(STORE);
    await store.addAll(FILES.map((file) => new Request(file, { cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(load());
});

self.addEventListener("activate", (event) => {
  const tidy = async () => {
    const outdated = (await caches.keys()).filter((name) => name.startsWith(NAMES) && name !== STORE);
    await Promise.all(outdated.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const answer = async () => {
    const store = await caches.open(STORE);
    return (await store.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  };
  event.respondWith(answer());
});
