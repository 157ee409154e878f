import { type Browser, chromium, type Locator, type Page } from 'playwright-core';

/** Debian's Chromium, with nothing of its own on the network. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  });
}

interface Credentials {
  username: string;
  password: string;
}

/** A way to authorize, as the document names it. */
type Scheme = 'password' | 'bearer';
type Method = 'GET' | 'POST' | 'DELETE';

/** What `storageState` leaves out: an expression, since the compiler knows no browser here. */
const IN_PAGE_STORAGE = `caches.keys().then((caches) => ({
  session: { ...sessionStorage },
  caches,
  name: window.name,
  history: history.state,
  address: location.href,
}))`;

/** Swagger UI as a person uses it: by what is on the screen. */
export class SwaggerUi {
  /** What a person would find in the browser's console and network tab. */
  readonly faults: string[] = [];
  readonly requested: string[] = [];

  private constructor(readonly page: Page) {
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.faults.push(message.text());
    });
    page.on('pageerror', (error) => this.faults.push(String(error)));
    page.on('requestfailed', (request) => this.faults.push(`failed: ${request.url()}`));
    page.on('request', (request) => this.requested.push(request.url()));
    page.on('response', (response) => {
      if (response.status() >= 400) this.faults.push(`${response.status()} ${response.url()}`);
    });
  }

  /** In a profile of its own. @param url of the page */
  static async open(browser: Browser, url: string, { bypassCSP = false } = {}): Promise<SwaggerUi> {
    const context = await browser.newContext({ bypassCSP });
    context.setDefaultTimeout(10_000);
    const swaggerUi = new SwaggerUi(await context.newPage());
    await swaggerUi.page.goto(url);
    await swaggerUi.#ready();
    return swaggerUi;
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.#ready();
  }

  async #ready(): Promise<void> {
    await this.page.locator('.opblock').first().waitFor();
    // The address names the operation that was used last: it opens by itself.
    if (this.page.url().includes('#')) await this.page.locator('.opblock.is-open').waitFor();
  }

  /** Every operation on the page, as `GET /path`, and whether it has a padlock. */
  async padlocks(): Promise<Record<string, boolean>> {
    const padlocks: Record<string, boolean> = {};
    for (const operation of await this.page.locator('.opblock').all()) {
      const method = await operation.locator('.opblock-summary-method').innerText();
      const path = await operation.locator('[data-path]').getAttribute('data-path');
      const count = await operation.locator('.authorization__btn').count();
      padlocks[`${method} ${path}`] = count > 0;
    }
    return padlocks;
  }

  async openDialog(): Promise<void> {
    await this.page.locator('.btn.authorize', { hasText: 'Authorize' }).first().click();
  }

  async closeDialog(): Promise<void> {
    await this.page.locator('.close-modal').click();
  }

  /** The part of the dialog that is about this way to authorize. */
  dialog(scheme: Scheme): Locator {
    return this.page
      .locator('.auth-container')
      .filter({ has: this.page.locator('h4', { hasText: new RegExp(`^${scheme}\\s`) }) });
  }

  async typeCredentials({ username, password }: Credentials): Promise<void> {
    await this.dialog('password').getByLabel('username:').fill(username);
    await this.dialog('password').getByLabel('password:').fill(password);
  }

  /** @param scope to tick, or `all` for the link of that name */
  async logIn(user: Credentials, scope?: string): Promise<void> {
    await this.openDialog();
    await this.typeCredentials(user);
    if (scope !== undefined) await this.tick(scope);
    await this.submit('password');
    await this.closeDialog();
  }

  async tick(scope: string): Promise<void> {
    if (scope === 'all') await this.page.getByText('select all').click();
    else await this.page.locator(`label[for^="${scope}-"]`).click();
  }

  async pasteToken(token: string): Promise<void> {
    await this.openDialog();
    await this.dialog('bearer').getByRole('textbox').fill(token);
    await this.submit('bearer');
    await this.closeDialog();
  }

  /** Presses the button, and reads why it was refused. */
  async refusal(): Promise<string> {
    await this.#authorize('password');
    return this.dialog('password').locator('.errors').innerText();
  }

  /** Presses the button, and waits until the dialog says that it worked. */
  async submit(scheme: Scheme): Promise<void> {
    await this.#authorize(scheme);
    await this.dialog(scheme).getByText('Authorized', { exact: true }).waitFor();
  }

  #authorize(scheme: Scheme): Promise<void> {
    return this.dialog(scheme).locator('button.authorize').click();
  }

  async logOut(scheme: Scheme): Promise<void> {
    await this.openDialog();
    await this.dialog(scheme).getByRole('button', { name: 'Remove authorization' }).click();
    await this.dialog(scheme).getByText('Authorized', { exact: true }).waitFor({ state: 'hidden' });
    await this.closeDialog();
  }

  async isAuthorized(scheme: Scheme): Promise<boolean> {
    await this.openDialog();
    const authorized = await this.dialog(scheme).getByText('Authorized', { exact: true }).count();
    await this.closeDialog();
    return authorized > 0;
  }

  /** Opens an operation and its form. */
  async operation(method: Method, path: string): Promise<Locator> {
    const operation = this.page
      .locator(`.opblock-${method.toLowerCase()}`)
      .filter({ has: this.page.locator(`[data-path="${path}"]`) });
    const tryItOut = operation.getByRole('button', { name: 'Try it out' });
    if (!(await operation.locator('.opblock-body').isVisible())) {
      await operation.locator('.opblock-summary-control').click();
      await tryItOut.waitFor();
    }
    if (await tryItOut.isVisible()) await tryItOut.click();
    return operation;
  }

  /** Executes the operation, and reads the answer off the page. */
  async tryOut(
    method: Method,
    path: string,
    fill: (operation: Locator) => Promise<void> = () => Promise.resolve(),
  ): Promise<{ status: string; text: string }> {
    const operation = await this.operation(method, path);
    await fill(operation);
    await operation.getByRole('button', { name: 'Execute' }).click();
    const answer = operation.locator('.live-responses-table .response');
    await answer.waitFor();
    const [status = '', text = ''] = await Promise.all([
      answer.locator('.response-col_status').innerText(),
      answer.locator('.response-col_description').innerText(),
    ]);
    await operation.getByRole('button', { name: 'Clear' }).click();
    return { status: status.trim(), text };
  }

  /** All that the browser keeps for this page, in any storage, as one text. */
  async stored(): Promise<string> {
    const context = this.page.context();
    const inPage = await this.page.evaluate(IN_PAGE_STORAGE);
    return JSON.stringify([await context.storageState({ indexedDB: true }), inPage]);
  }

  /** All strings that scripts of the page still hold, after a garbage collection. */
  async memory(): Promise<string> {
    const session = await this.page.context().newCDPSession(this.page);
    const chunks: string[] = [];
    session.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => chunks.push(chunk));
    await session.send('HeapProfiler.collectGarbage');
    await session.send('HeapProfiler.takeHeapSnapshot');
    await session.detach();
    return chunks.join('');
  }

  close(): Promise<void> {
    return this.page.context().close();
  }
}
