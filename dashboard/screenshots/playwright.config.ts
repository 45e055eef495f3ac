// `npm run screenshots`: not a test, so it is apart from them; the same browser and daemon.
import base from '../playwright.config';

export default { ...base, testDir: '.', timeout: 300_000 };
