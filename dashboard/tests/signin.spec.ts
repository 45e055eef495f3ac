import { expect, test } from './fixtures';

test('a token that is right leads to the pages, and is in no address', async ({ page, enter }) => {
  await enter('/services');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Services');
  expect(page.url()).not.toContain('tenement_of');
});
